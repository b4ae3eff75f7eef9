// SPDX-License-Identifier: MIT OR Apache-2.0
// A naked function's parameter has no name in BTF, for which the kernel refuses the whole. Without types no function
// is global: what the caller passes counts only where it is used.
//
// program: unnamed_parameter
// verdict: reject
// errno: EACCES
// reason: R1 !read_ok
// insn: 4
#include "../slot.h"

__attribute__((noinline)) int takes_task(struct task_struct *task __attribute__((btf_decl_tag("arg:trusted"))))
{
	return task->pid; // REJECT
}

SEC("tp_btf/task_newtask")
__attribute__((naked)) int unnamed_parameter(void *ctx)
{
	asm volatile("call 7; call takes_task; r0 = 0; exit");
}
