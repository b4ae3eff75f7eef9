// SPDX-License-Identifier: MIT OR Apache-2.0
// A per-CPU object in a slot of an array: made, counted into, summed up, taken down; and three mistakes with it.
// Compile: clang-19 -O2 -g -mcpu=v3 --target=bpf -I kfuncs/include -c tests/objects/percpu_slot.bpf.c -o tests/objects/percpu_slot.bpf.o
#include "kptrsim.h"

struct counter {
	long hits;
	long misses;
};

struct slot {
	long generation;
	struct counter __percpu_kptr *counter;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

const volatile int cpus;
long total;

static struct slot *find(int index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

SEC("fentry/bpf_fentry_test1")
int make(void *ctx)
{
	struct counter __percpu_kptr *counter;
	struct slot *slot = find(0);

	if (!slot)
		return 1;
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return 2;
	counter = bpf_kptr_xchg(&slot->counter, counter);
	if (counter)
		bpf_percpu_obj_drop(counter);
	slot->generation++;
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int count(void *ctx)
{
	struct counter __percpu_kptr *counter;
	struct counter *mine;
	struct slot *slot = find(0);

	if (!slot)
		return 1;
	counter = slot->counter;
	if (!counter)
		return 2;
	mine = bpf_this_cpu_ptr(counter);
	mine->hits = 5;
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int sum(void *ctx)
{
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	struct slot *slot = find(0);
	int cpu;

	if (!slot)
		return 1;
	counter = slot->counter;
	if (!counter)
		return 2;
	total = 0;
	bpf_for(cpu, 0, cpus) {
		copy = bpf_per_cpu_ptr(counter, cpu);
		if (copy)
			total += copy->hits;
	}
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int take_down(void *ctx)
{
	struct counter __percpu_kptr *counter;
	struct slot *slot = find(0);

	if (!slot)
		return 1;
	counter = bpf_kptr_xchg(&slot->counter, NULL);
	if (counter)
		bpf_percpu_obj_drop(counter);
	return 0;
}

SEC("fentry.s/bpf_fentry_test1")
int use_after_drop(void *ctx)
{
	struct counter __percpu_kptr *counter;
	struct counter *mine;

	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return 2;
	mine = bpf_this_cpu_ptr(counter);
	bpf_percpu_obj_drop(counter);
	return mine->hits;
}

SEC("fentry/bpf_fentry_test1")
int forget(void *ctx)
{
	struct counter __percpu_kptr *counter;

	counter = bpf_percpu_obj_new(struct counter);
	return !counter;
}

SEC("fentry/bpf_fentry_test1")
int follow(void *ctx)
{
	struct counter *counter;
	struct slot *slot = find(0);

	if (!slot)
		return 1;
	counter = (struct counter *)slot->counter;
	if (!counter)
		return 2;
	return counter->hits;
}

char _license[] SEC("license") = "Dual MIT/GPL";
