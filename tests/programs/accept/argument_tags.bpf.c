// SPDX-License-Identifier: MIT OR Apache-2.0
// Tags say what a global function takes beyond what C can say: the context, memory that is never NULL, a trusted
// object of the kernel, or one that may be NULL.
//
// program: argument_tags
// verdict: accept
#include "kptrsim.h"

struct sample {
	long pid;
	long seen;
};

__noinline int with_context(void *ctx __arg_ctx)
{
	return ctx != NULL;
}

__noinline int with_memory(struct sample *sample __arg_nonnull)
{
	sample->seen++;
	return 0;
}

__noinline int with_task(struct task_struct *task __arg_trusted)
{
	return task->pid;
}

__noinline int with_task_or_none(struct task_struct *task __arg_trusted __arg_nullable)
{
	return task ? task->pid : 0;
}

SEC("tp_btf/task_newtask")
int argument_tags(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct sample sample = {};

	sample.pid = with_task(task) + with_task_or_none(task) + with_task_or_none(NULL);
	return with_memory(&sample) + with_context(ctx);
}

char _license[] SEC("license") = "GPL";
