// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback's pointer is to eight bytes of the caller's stack; there is nothing behind them.
//
// program: visit_memory_area_beyond
// verdict: reject
// errno: EACCES
// reason: invalid write to stack R3 off=0 size=8
// insn: 17
#include "kptrsim.h"

static int visit(struct task_struct *task, struct vm_area_struct *area, long *start)
{
	start[1] = area->vm_start; // REJECT
	return 0;
}

SEC("raw_tp/sys_enter")
int visit_memory_area_beyond(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	long start = 0;

	bpf_find_vma(task, 0x400000, visit, &start, 0);
	return start != 0;
}

char _license[] SEC("license") = "GPL";
