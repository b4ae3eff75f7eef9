// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Counting what each cgroup does, on each CPU, without a lock.
 *
 * Cgroup local storage gives every cgroup a value of its own that lives as long as the cgroup; the per-CPU object in it is
 * dropped with it. The first event of a cgroup allocates, all later ones only count.
 */
//
// program: count_event
// verdict: accept
//
// program: sum_events
// verdict: accept
//
// cpus: 4 64
// set: nr_cpus=cpus
// run: count_event@0
// run: count_event@1
// run: count_event@1
// run: sum_events@2
// global: events_of_current = 3
// leaks: 0
#include "kptrsim.h"

struct activity {
	long events;
};

struct of_cgroup {
	struct activity total;
	struct activity __percpu_kptr *live;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGRP_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct of_cgroup);
} storage SEC(".maps");

const volatile int nr_cpus;
long events_of_current;

/*
 * A static function that is not inlined is verified with the state of its caller: what it returns is borrowed from the same
 * RCU section.
 */
static __noinline struct activity __percpu_kptr *live_of(struct of_cgroup *e)
{
	struct activity __percpu_kptr *live, *old;
	struct activity *copy;
	int cpu;

	live = e->live;
	if (live)
		return live;
	live = bpf_percpu_obj_new(struct activity);
	if (!live)
		return NULL;
	old = bpf_kptr_xchg(&e->live, live);
	/* Another CPU was quicker: its object came back, with the few events that it had counted. */
	if (old)
		bpf_percpu_obj_drop(old);
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(live, cpu);
		if (!copy)
			break;
		copy->events = 0;
	}
	return live;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(count_event)
{
	struct activity __percpu_kptr *live;
	struct task_struct *task;
	struct activity *mine;
	struct of_cgroup *e;

	task = bpf_get_current_task_btf();
	e = bpf_cgrp_storage_get(&storage, task->cgroups->dfl_cgrp, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!e)
		return 0;
	live = live_of(e);
	if (!live)
		return 0;
	mine = bpf_this_cpu_ptr(live);
	mine->events++;
	return 0;
}

SEC("fentry/bpf_fentry_test2")
int BPF_PROG(sum_events)
{
	struct activity __percpu_kptr *live;
	struct task_struct *task;
	struct activity *copy;
	struct of_cgroup *e;
	int cpu;

	task = bpf_get_current_task_btf();
	e = bpf_cgrp_storage_get(&storage, task->cgroups->dfl_cgrp, NULL, 0);
	if (!e)
		return 0;
	live = e->live;
	if (!live)
		return 0;
	events_of_current = 0;
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(live, cpu);
		if (!copy)
			break;
		events_of_current += copy->events;
	}
	e->total.events = events_of_current;
	return 0;
}

char _license[] SEC("license") = "GPL";
