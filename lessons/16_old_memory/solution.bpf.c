// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 16. Accepted, and wrong
 *
 * The verifier makes sure that a program does no harm to the kernel. Whether it does what you want is no concern of its. That
 * is what runs are for: `kptrsim run` executes programs on simulated CPUs, one after another, and shows what came of it.
 *
 * These programs work when they are tried: start, count, count, stop. They still work the second time, and count too many
 * packets. An allocator hands out memory that was used before, and neither bpf_obj_new() nor bpf_percpu_obj_new() clears it.
 */
#include "kptrsim.h"

struct counter {
	long packets;
};

struct slot {
	struct counter __percpu_kptr *counter;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

enum { MOST_CPUS = 64 };

SEC("tc")
int start(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	int cpu;

	if (!slot)
		return 0;
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return 0;
	counter = bpf_kptr_xchg(&slot->counter, counter);
	if (counter)
		bpf_percpu_obj_drop(counter);
	counter = slot->counter;
	if (!counter)
		return 0;
	bpf_for(cpu, 0, MOST_CPUS) {
		copy = bpf_per_cpu_ptr(counter, cpu);
		if (!copy)
			break;
		copy->packets = 0;
	}
	return 1;
}

/* Counts a packet in this CPU's copy. */
SEC("tc")
int count(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;
	struct counter *mine;

	if (!slot)
		return 0;
	counter = slot->counter;
	if (!counter)
		return 0;
	mine = bpf_this_cpu_ptr(counter);
	mine->packets++;
	return mine->packets;
}

/* Ends counting. Returns 1 if there was a counter. */
SEC("tc")
int stop(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;

	if (!slot)
		return 0;
	counter = bpf_kptr_xchg(&slot->counter, NULL);
	if (!counter)
		return 0;
	bpf_percpu_obj_drop(counter);
	return 1;
}

char _license[] SEC("license") = "GPL";
