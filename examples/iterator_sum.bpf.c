// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Adding up with iterators: all elements of an array, and in each element all CPUs.
 *
 * bpf_for is an open-coded iterator. The verifier does not walk through its rounds one by one: it goes through the body until the
 * state at the loop's head is one that it has seen, and then knows that all further rounds are alike. That is why the
 * bounds may be values that are not known before the program runs.
 */
//
// program: fill
// verdict: accept
//
// program: sum
// verdict: accept
//
// cpus: 4
// set: nr_cpus=cpus
// run: sum = 0
// run: fill = 4
// run: sum = 100
// global: total_work = 100
// map: queues[0].total.work = 10
// map: queues[3].total.work = 40
// leaks: 0
//
// cpus: 1 2 4 64
// set: nr_cpus=2
// run: sum@0 = 0
// leaks: 0
#include "kptrsim.h"

struct load {
	long work;
};

struct queue {
	struct load total;
	struct load __percpu_kptr *live;
};

enum { QUEUES = 4 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, QUEUES);
	__type(key, int);
	__type(value, struct queue);
} queues SEC(".maps");

const volatile int nr_cpus;
long total_work;

/* Gives each queue an object whose copies hold (queue + 1) * (cpu + 1). Returns how many queues have one. */
SEC("tc")
int fill(struct __sk_buff *skb)
{
	struct load __percpu_kptr *load, *old;
	struct load *copy;
	struct queue *q;
	int i, cpu, filled = 0;

	bpf_for(i, 0, QUEUES) {
		/* The helper takes the key's address, and the verifier has to see the value as one that may change. */
		int key = i;

		q = bpf_map_lookup_elem(&queues, &key);
		if (!q)
			break;
		load = bpf_percpu_obj_new(struct load);
		if (!load)
			break;
		old = bpf_kptr_xchg(&q->live, load);
		if (old)
			bpf_percpu_obj_drop(old);
		bpf_for(cpu, 0, nr_cpus) {
			copy = bpf_per_cpu_ptr(load, cpu);
			if (!copy)
				break;
			copy->work = (i + 1) * (cpu + 1);
		}
		filled++;
	}
	return filled;
}

/* Returns the sum over all queues and CPUs. */
SEC("tc")
int sum(struct __sk_buff *skb)
{
	struct load __percpu_kptr *load;
	struct load *copy;
	struct queue *q;
	int i, cpu;

	total_work = 0;
	bpf_for(i, 0, QUEUES) {
		int key = i;

		q = bpf_map_lookup_elem(&queues, &key);
		if (!q)
			break;
		load = q->live;
		/* `continue` and `break` are fine inside an iterator: the macro ends it on every way out. */
		if (!load)
			continue;
		q->total.work = 0;
		bpf_for(cpu, 0, nr_cpus) {
			copy = bpf_per_cpu_ptr(load, cpu);
			if (!copy)
				break;
			q->total.work += copy->work;
		}
		total_work += q->total.work;
	}
	return total_work;
}

char _license[] SEC("license") = "GPL";
