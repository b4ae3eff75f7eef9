// SPDX-License-Identifier: MIT OR Apache-2.0
// The program's own memory is no object of the kernel.
//
// program: stack_to_trusted
// verdict: reject
// errno: EACCES
// reason: Caller passes invalid args into func#1 ('with_task')
// insn: 4
#include "kptrsim.h"

__noinline int with_task(struct task_struct *task __arg_trusted)
{
	return task->pid;
}

SEC("tc")
int stack_to_trusted(struct __sk_buff *skb)
{
	volatile long fake = skb->len;

	return with_task((void *)&fake); // REJECT
}

char _license[] SEC("license") = "GPL";
