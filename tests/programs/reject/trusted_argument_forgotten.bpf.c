// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function that takes a trusted task is called with a register that the call before it overwrote.
//
// program: trusted_argument_forgotten
// verdict: reject
// errno: EACCES
// reason: Caller passes invalid args into func#1 ('takes_task')
// insn: 1
#include "../slot.h"

__attribute__((noinline)) int takes_task(struct task_struct *task __attribute__((btf_decl_tag("arg:trusted"))))
{
	return task->pid;
}

SEC("tp_btf/task_newtask")
__attribute__((naked)) int trusted_argument_forgotten(void)
{
	asm volatile("call 7; call takes_task; r0 = 0; exit"); // REJECT
}
