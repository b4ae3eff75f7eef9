// SPDX-License-Identifier: MIT OR Apache-2.0
// A per-CPU object in the storage of a cgroup: two CPUs in one cgroup make the object if it is not there, and count their visits.
// As in initialise_twice, the second object can take the first one's place.
#include "kptrsim.h"

struct counter {
	long hits;
};

struct value {
	struct counter __percpu_kptr *counter;
	int visits;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} storage SEC(".maps");

static struct value *mine(__u64 flags)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return bpf_cgrp_storage_get(&storage, task->cgroups->dfl_cgrp, 0, flags);
}

SEC("syscall")
int make(void *ctx)
{
	int result;

	bpf_rcu_read_lock();
	result = mine(BPF_LOCAL_STORAGE_GET_F_CREATE) ? 0 : -ENOMEM;
	bpf_rcu_read_unlock();
	return result;
}

SEC("syscall")
int start(void *ctx)
{
	struct counter __percpu_kptr *counter;
	struct value *value;
	int result = 0;

	bpf_rcu_read_lock();
	value = mine(0);
	if (!value) {
		result = -ENOENT;
		goto out;
	}
	__sync_fetch_and_add(&value->visits, 1);
	if (value->counter)
		goto out;
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter) {
		result = -ENOMEM;
		goto out;
	}
	counter = bpf_kptr_xchg(&value->counter, counter);
	result = 1;
	if (counter) {
		bpf_percpu_obj_drop(counter);
		result = 2;
	}
out:
	bpf_rcu_read_unlock();
	return result;
}

char _license[] SEC("license") = "Dual MIT/GPL";
