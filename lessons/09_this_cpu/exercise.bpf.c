// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 9. A copy for each CPU
 *
 * A counter that all CPUs share is slow, and goes wrong when two of them count at once. bpf_percpu_obj_new(struct T)
 * allocates one T for every CPU. The pointer that it returns, a __percpu_kptr, names all the copies together. It is
 * owned, exchanged and (by bpf_percpu_obj_drop) dropped as you know it, but it is no address: it cannot be followed.
 * bpf_this_cpu_ptr(pointer) gives the address of the copy of the CPU that the program runs on.
 *
 * A pointer that is loaded from a map, as in count(), is only borrowed: the map goes on owning it. A tc program may
 * use it until it ends, even if another CPU drops the object meanwhile. Why that is so comes in exercise 11.
 *
 * TODO: count in this CPU's copy.
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

/* Counts a packet. Returns how many this CPU has seen. */
SEC("tc")
int count(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;

	if (!slot)
		return 0;
	counter = slot->counter;
	if (!counter)
		return 0;
	counter->packets++;
	return counter->packets;
}

char _license[] SEC("license") = "GPL";
