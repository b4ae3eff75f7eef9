// SPDX-License-Identifier: MIT OR Apache-2.0
// What a tag lets be NULL has to be checked inside.
//
// program: nullable_unchecked
// verdict: reject
// errno: EACCES
// reason: R1 invalid mem access 'trusted_ptr_or_null_'
// insn: 3
#include "kptrsim.h"

__noinline int with_task_or_none(struct task_struct *task __arg_trusted __arg_nullable)
{
	return task->pid; // REJECT
}

SEC("tp_btf/task_newtask")
int nullable_unchecked(__u64 *ctx)
{
	return with_task_or_none((void *)ctx[0]);
}

char _license[] SEC("license") = "GPL";
