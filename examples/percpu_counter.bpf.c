// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Counting packets without contention: the life of a per-CPU object, from its birth to its end.
 *
 * A counter that all CPUs share makes them fight over one cache line. Here each CPU has a copy of its own, in an object that
 * the program allocates when it is needed and frees when it is not, and that a map element holds in the meantime. Such a
 * pointer carries the tag __percpu_kptr, and the verifier follows who owns the object at every instruction:
 *
 *	owned		bpf_percpu_obj_new() returned it: this program has to pass it on or drop it
 *	published	bpf_kptr_xchg() moved it into the map: now the map owns it
 *	borrowed	a load of the field, under RCU: it can be used as long as the RCU section lasts, and not be dropped
 *	dropped		bpf_percpu_obj_drop(): the memory goes once no RCU section can still see it
 *
 * Try it:
 *	kptrsim verify examples/percpu_counter.bpf.o
 *	kptrsim run examples/percpu_counter.bpf.o --prog create --prog count --prog count --prog sum --prog destroy --set nr_cpus=4
 */
//
// program: create
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
// run: create@0 = 1
// run: count@0 = 1
// run: count@1 = 1
// run: count@1 = 2
// run: count@3 = 1
// run: sum@2 = 4
// run: destroy@0 = 1
// run: destroy@0 = 0
// map: slots[0].total.packets = 4
// leaks: 0
#include "kptrsim.h"

struct counter {
	long packets;
	long bytes;
};

/* A map value with a place for one per-CPU object, and plain members beside it. */
struct slot {
	struct counter total;
	struct counter __percpu_kptr *live;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

/* Set before the programs are loaded: how many CPUs there are to clear and to add up. */
const volatile int nr_cpus;

static __always_inline struct slot *find_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

/* Allocates the object and publishes it. Returns 1 when that worked. */
SEC("tc")
int create(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	struct slot *slot;
	int cpu;

	slot = find_slot();
	if (!slot)
		return 0;

	/* Owned from here on: a path that returned now without passing it on or dropping it would be rejected. */
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return 0;

	/* The map takes the new object and gives back the old one, in one step. That one is now ours to drop. */
	counter = bpf_kptr_xchg(&slot->live, counter);
	if (counter)
		bpf_percpu_obj_drop(counter);

	/* The allocator may hand out memory that was used before, so each copy is cleared. */
	counter = slot->live;
	if (!counter)
		return 0;
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(counter, cpu);
		if (!copy)
			break;
		copy->packets = 0;
		copy->bytes = 0;
	}
	return 1;
}

/* Counts one packet in this CPU's copy. Returns how many this CPU has seen. */
SEC("tc")
int count(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct counter *mine;
	struct slot *slot;

	slot = find_slot();
	if (!slot)
		return 0;

	/*
	 * Borrowed: a tc program runs in an RCU section from beginning to end, so that the object outlives this program even
	 * if another CPU takes it out of the map and drops it right now.
	 */
	counter = slot->live;
	if (!counter)
		return 0;

	/* The pointer names all copies at once. To follow it, choose one. */
	mine = bpf_this_cpu_ptr(counter);
	mine->packets++;
	mine->bytes += skb->len;
	return mine->packets;
}

/* Adds up all CPUs' copies and keeps the sum beside them. Returns the number of packets. */
SEC("tc")
int sum(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	struct slot *slot;
	int cpu;

	slot = find_slot();
	if (!slot)
		return 0;
	counter = slot->live;
	if (!counter)
		return 0;

	slot->total.packets = 0;
	slot->total.bytes = 0;
	bpf_for(cpu, 0, nr_cpus) {
		/* NULL for a CPU that does not exist. */
		copy = bpf_per_cpu_ptr(counter, cpu);
		if (!copy)
			break;
		slot->total.packets += copy->packets;
		slot->total.bytes += copy->bytes;
	}
	return slot->total.packets;
}

/* Takes the object out of the map and drops it. Returns 1 when there was one. */
SEC("tc")
int destroy(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct slot *slot;

	slot = find_slot();
	if (!slot)
		return 0;

	/* Exchanging with NULL empties the field. What comes out is owned again. */
	counter = bpf_kptr_xchg(&slot->live, NULL);
	if (!counter)
		return 0;
	bpf_percpu_obj_drop(counter);
	return 1;
}

char _license[] SEC("license") = "GPL";
