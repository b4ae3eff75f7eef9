// SPDX-License-Identifier: MIT OR Apache-2.0
// The whole life in four programs that share a map: publish, write, add up, free.
//
// program: story_publish
// verdict: accept
//
// program: story_write
// verdict: accept
//
// program: story_sum
// verdict: accept
//
// program: story_free
// verdict: accept
#include "../slot.h"

const volatile int nr_cpus;

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(story_publish)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}

SEC("fentry/bpf_fentry_test2")
int BPF_PROG(story_write)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	mine->hits++;
	return 0;
}

SEC("fentry/bpf_fentry_test3")
int BPF_PROG(story_sum)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *there;
	int cpu;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	e->total.hits = 0;
	bpf_for(cpu, 0, nr_cpus) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (there)
			e->total.hits += there->hits;
	}
	return 0;
}

SEC("fentry/bpf_fentry_test4")
int BPF_PROG(story_free)
{
	struct counts __percpu_kptr *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
