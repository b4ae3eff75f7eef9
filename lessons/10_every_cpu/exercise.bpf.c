// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 10. Every CPU's copy
 *
 * bpf_per_cpu_ptr(pointer, cpu) gives the address of one CPU's copy, and NULL for a CPU that there is not. sum() visits all
 * of them, and since it cannot know how many CPUs the machine has, it tries every number that there can be.
 *
 * This one is different: the verifier accepts the program as it stands! For a per-CPU object it takes the result of
 * bpf_per_cpu_ptr() as never NULL. Linux 6.12 loads this program, and a run of it brings the kernel down. So from here on
 * your programs are not only verified but run as well, on simulated CPUs, where a crash is just a message.
 *
 * TODO: see where it crashes, and check what the verifier did not ask you to check.
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

	if (!slot)
		return 0;
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return 0;
	counter = bpf_kptr_xchg(&slot->counter, counter);
	if (counter)
		bpf_percpu_obj_drop(counter);
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

/* Returns the number of packets that all CPUs have seen. */
SEC("tc")
int sum(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	long packets = 0;
	int cpu;

	if (!slot)
		return 0;
	counter = slot->counter;
	if (!counter)
		return 0;
	bpf_for(cpu, 0, MOST_CPUS) {
		copy = bpf_per_cpu_ptr(counter, cpu);
		packets += copy->packets;
	}
	return packets;
}

char _license[] SEC("license") = "GPL";
