// SPDX-License-Identifier: MIT OR Apache-2.0
// In what belongs to a task or to a cgroup.
//
// program: count_for_task
// verdict: accept
//
// program: count_for_cgroup
// verdict: accept
#include "kptrsim.h"

struct counts {
	long hits;
};

struct owner_data {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct owner_data);
} of_task SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct owner_data);
} of_cgroup SEC(".maps");

static __always_inline int count(struct owner_data *e)
{
	struct counts __percpu_kptr *p, *old;
	struct counts *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p) {
		p = bpf_percpu_obj_new(struct counts);
		if (!p)
			return 0;
		old = bpf_kptr_xchg(&e->pc, p);
		if (old)
			bpf_percpu_obj_drop(old);
	}
	mine = bpf_this_cpu_ptr(p);
	mine->hits++;
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(count_for_task)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return count(bpf_task_storage_get(&of_task, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE));
}

SEC("fentry/bpf_fentry_test2")
int BPF_PROG(count_for_cgroup)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return count(bpf_cgrp_storage_get(&of_cgroup, task->cgroups->dfl_cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE));
}

char _license[] SEC("license") = "GPL";
