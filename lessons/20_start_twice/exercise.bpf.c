// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 20. Who comes first?
 *
 * start() makes the counter if there is none. On one CPU that is right. On two, both may look before either has put
 * its counter there, so both find the slot empty; the second throws the first one's counter out, and what was counted in it is
 * gone. Looking and then acting on what one saw is two steps, and somebody may come between.
 *
 * TODO: decide in one step who may make the counter. slot->claimed is there for it:
 * __sync_val_compare_and_swap(&variable, old, new) writes `new` if the variable holds `old`, and returns what it held
 * before, all in one atomic instruction. Who gets 0 back was first.
 */
#include "kptrsim.h"

struct counter {
	long packets;
};

struct slot {
	long claimed;
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

/* Makes the counter if there is none. Returns 1 if it was made. */
SEC("tc")
int start(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;

	if (!slot)
		return 0;
	if (slot->counter)
		return 0;
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return 0;
	counter = bpf_kptr_xchg(&slot->counter, counter);
	if (counter)
		bpf_percpu_obj_drop(counter);
	return 1;
}

/* Counts a packet in this CPU's copy, if there is a counter. */
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

char _license[] SEC("license") = "GPL";
