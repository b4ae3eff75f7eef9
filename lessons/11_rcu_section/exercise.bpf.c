// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 11. Borrowing under RCU
 *
 * While one CPU looks at a published object, another may take it out of the map and drop it. What keeps the memory from going
 * away under the reader is RCU: between bpf_rcu_read_lock() and bpf_rcu_read_unlock() a CPU is in a read section, and
 * memory is freed only when every section that could have seen it has ended. A pointer that is loaded from a map in a
 * section is good until the section's end.
 *
 * A tc program is in such a section from beginning to end. A program that may sleep, such as SEC("syscall"), which user space
 * calls, is not, and has to open one where it needs it. Nothing in a section may sleep, so keep it short.
 *
 * TODO: open a section around the reading in peek(), and close it again on every path.
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
	long packets = 0;

	if (!slot)
		return 0;
	counter = slot->counter;
	if (counter) {
		mine = bpf_this_cpu_ptr(counter);
		packets = mine->packets;
	}
	return packets;
}

char _license[] SEC("license") = "GPL";
