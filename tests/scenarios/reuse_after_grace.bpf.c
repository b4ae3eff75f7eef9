// SPDX-License-Identifier: MIT OR Apache-2.0
// One CPU replaces the object twice, and frees the old ones. Another reads one twice in one RCU section: the memory of what it reads
// may go to a new object only after a grace period, so that both reads tell of the same.
#include "kptrsim.h"

struct object {
	long generation;
};

struct slot {
	struct object __kptr *object;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find(int index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

long generation;

SEC("tc")
int replace(struct __sk_buff *skb)
{
	struct object *fresh;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	fresh = bpf_obj_new(__typeof__(*fresh));
	if (!fresh)
		return -ENOMEM;
	fresh->generation = ++generation;
	fresh = bpf_kptr_xchg(&slot->object, fresh);
	if (fresh)
		bpf_obj_drop(fresh);
	return 0;
}

SEC("tc")
int read(struct __sk_buff *skb)
{
	volatile struct object *object;
	struct slot *slot = find(0);
	long first;

	if (!slot)
		return -EINVAL;
	object = slot->object;
	if (!object)
		return -ENOENT;
	first = object->generation;
	return first * 10 + object->generation;
}

char _license[] SEC("license") = "Dual MIT/GPL";
