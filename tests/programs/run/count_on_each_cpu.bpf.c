// SPDX-License-Identifier: MIT OR Apache-2.0
// Each CPU counts in its own copy; the sum sees all of them, whichever CPU it runs on.
//
// program: publish
// verdict: accept
//
// program: count
// verdict: accept
//
// program: sum
// verdict: accept
//
// program: destroy
// verdict: accept
//
// cpus: 4 64
// set: nr_cpus=cpus
// run: publish@0 = 1
// run: count@0 = 1
// run: count@1 = 1
// run: count@1 = 2
// run: count@2 = 1
// run: count@3 = 1
// run: sum@0 = 5
// run: sum@3 = 5
// run: destroy@1 = 1
// run: sum@0 = 0
// run: destroy@0 = 0
// global: sum_of_hits = 5
// global: copies_seen = cpus
// leaks: 0
#include "../slot.h"

const volatile int nr_cpus;
long sum_of_hits;
int copies_seen;

SEC("tc")
int publish(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *there;
	int cpu;

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	p = e->pc;
	if (!p)
		return 0;
	bpf_for(cpu, 0, nr_cpus) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (there)
			there->hits = 0;
	}
	return 1;
}

SEC("tc")
int count(struct __sk_buff *skb)
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
	return ++mine->hits;
}

SEC("tc")
int sum(struct __sk_buff *skb)
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
	sum_of_hits = 0;
	copies_seen = 0;
	bpf_for(cpu, 0, nr_cpus) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (!there)
			break;
		sum_of_hits += there->hits;
		copies_seen++;
	}
	return sum_of_hits;
}

SEC("tc")
int destroy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_kptr_xchg(&e->pc, NULL);
	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	return 1;
}
