// SPDX-License-Identifier: MIT OR Apache-2.0
// Two slots, and two CPUs that move what they find from one to the other, in opposite directions. Whatever the order, each object is
// dropped once: while moving if its new place was taken, and at the end otherwise.
#include "kptrsim.h"

struct counter {
	long hits;
};

struct slot {
	struct counter __percpu_kptr *counter;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find(int index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

static int move(int from, int to)
{
	struct slot *source = find(from), *target = find(to);
	struct counter __percpu_kptr *moving;

	if (!source || !target)
		return -EINVAL;
	moving = bpf_kptr_xchg(&source->counter, NULL);
	if (!moving)
		return 0;
	moving = bpf_kptr_xchg(&target->counter, moving);
	if (!moving)
		return 1;
	bpf_percpu_obj_drop(moving);
	return 2;
}

SEC("tc")
int fill(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *fresh;
	struct slot *slot;
	int index;

	bpf_for(index, 0, 2) {
		slot = find(index);
		if (!slot)
			return -EINVAL;
		fresh = bpf_percpu_obj_new(struct counter);
		if (!fresh)
			return -ENOMEM;
		fresh = bpf_kptr_xchg(&slot->counter, fresh);
		if (fresh)
			bpf_percpu_obj_drop(fresh);
	}
	return 0;
}

SEC("tc")
int up(struct __sk_buff *skb)
{
	return move(0, 1);
}

SEC("tc")
int down(struct __sk_buff *skb)
{
	return move(1, 0);
}

SEC("tc")
int drain(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *left;
	struct slot *slot;
	int index, count = 0;

	bpf_for(index, 0, 2) {
		slot = find(index);
		if (!slot)
			return -EINVAL;
		left = bpf_kptr_xchg(&slot->counter, NULL);
		if (left) {
			bpf_percpu_obj_drop(left);
			count++;
		}
	}
	return count;
}

char _license[] SEC("license") = "Dual MIT/GPL";
