// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 12. Carried out of the section
 *
 * A borrowed pointer is good until the section ends. Afterwards it still holds the same address, but the memory there may be
 * freed, or belong to something else, and a new section does not bring it back: it protects what is loaded in it, not
 * what was loaded before. The verifier makes the pointer untrusted at the unlock.
 *
 * TODO: peek() has its sections, and still is rejected. Mend it.
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

/* Returns how many packets this CPU has seen. */
SEC("syscall")
int peek(void *ctx)
{
	struct slot *slot = find_slot();
	struct counter __percpu_kptr *counter;
	struct counter *mine;
	long packets;

	if (!slot)
		return 0;
	bpf_rcu_read_lock();
	counter = slot->counter;
	bpf_rcu_read_unlock();
	if (!counter)
		return 0;

	bpf_rcu_read_lock();
	mine = bpf_this_cpu_ptr(counter);
	packets = mine->packets;
	bpf_rcu_read_unlock();
	return packets;
}

char _license[] SEC("license") = "GPL";
