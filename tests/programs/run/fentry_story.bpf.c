// SPDX-License-Identifier: MIT OR Apache-2.0
// The four fentry programs of the story, each triggered in turn. The result of an fentry program is always 0: what they
// found out is in the globals.
//
// program: initialise
// verdict: accept
//
// program: update
// verdict: accept
//
// program: add_up
// verdict: accept
//
// program: release
// verdict: accept
//
// cpus: 4 64
// set: nr_cpus=4
// run: initialise
// run: update
// run: add_up
// run: release
// global: cpu0_bytes = 100
// global: sum_hits = 10
// map: slots[0].total.hits = 10
// leaks: 0
//
// cpus: 1
// set: nr_cpus=4
// run: initialise
// run: update
// run: add_up
// run: release
// global: cpu0_bytes = 100
// global: sum_hits = 1
// leaks: 0
//
// cpus: 1 2 4 64
// set: nr_cpus=cpus
// run: update
// run: add_up
// run: release
// global: cpu0_bytes = 0
// global: sum_hits = 0
// leaks: 0
#include "../slot.h"

const volatile int nr_cpus;
long cpu0_bytes, sum_hits;

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(initialise)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

SEC("fentry/bpf_fentry_test2")
int BPF_PROG(update)
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
	bpf_for(cpu, 0, nr_cpus) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (!there)
			break;
		there->hits = cpu + 1;
		there->bytes = 100 * (cpu + 1);
	}
	return 0;
}

SEC("fentry/bpf_fentry_test3")
int BPF_PROG(add_up)
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
	bpf_for(cpu, 0, nr_cpus) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (!there)
			break;
		if (cpu == 0)
			cpu0_bytes = there->bytes;
		sum_hits += there->hits;
	}
	e->total.hits = sum_hits;
	return 0;
}

SEC("fentry/bpf_fentry_test4")
int BPF_PROG(release)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_kptr_xchg(&e->pc, NULL);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
