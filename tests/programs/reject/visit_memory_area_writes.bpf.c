// SPDX-License-Identifier: MIT OR Apache-2.0
// The area is the kernel's, to be read only.
//
// program: visit_memory_area_writes
// verdict: reject
// errno: EACCES
// reason: only read is supported
// insn: 17
#include "kptrsim.h"

static int visit(struct task_struct *task, struct vm_area_struct *area, long *start)
{
	area->vm_start = *start; // REJECT
	return 0;
}

SEC("raw_tp/sys_enter")
int visit_memory_area_writes(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	long start = 0;

	bpf_find_vma(task, 0x400000, visit, &start, 0);
	return start != 0;
}

char _license[] SEC("license") = "GPL";
