// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback gets the area of the task's memory, and leaves what it found in the caller's stack.
//
// program: visit_memory_area
// verdict: accept
#include "kptrsim.h"

static int visit(struct task_struct *task, struct vm_area_struct *area, long *start)
{
	*start = area->vm_start;
	return 0;
}

SEC("raw_tp/sys_enter")
int visit_memory_area(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	long start = 0;

	bpf_find_vma(task, 0x400000, visit, &start, 0);
	return start != 0;
}

char _license[] SEC("license") = "GPL";
