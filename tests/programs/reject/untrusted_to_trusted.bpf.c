// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer that was read from a trusted object, but of a field that promises nothing, is not trusted.
//
// program: untrusted_to_trusted
// verdict: reject
// errno: EACCES
// reason: Caller passes invalid args into func#1 ('with_task')
// insn: 5
#include "kptrsim.h"

__noinline int with_task(struct task_struct *task __arg_trusted)
{
	return task->pid;
}

SEC("tp_btf/task_newtask")
int untrusted_to_trusted(__u64 *ctx)
{
	struct task_struct *task = bpf_rdonly_cast((void *)ctx[0], bpf_core_type_id_kernel(struct task_struct));

	return with_task(task); // REJECT
}

char _license[] SEC("license") = "GPL";
