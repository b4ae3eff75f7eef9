// SPDX-License-Identifier: MIT OR Apache-2.0
// One CPU takes the object out of its slot to count in it, and puts it back. Another puts a newer one there meanwhile, and looks again.
// Taken, replaced, put back, looked at: only if the CPUs take turns three times in this order does the newer one
// vanish under the eyes of the one that put it there.
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

static int put(long generation)
{
	struct object *fresh;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	fresh = bpf_obj_new(__typeof__(*fresh));
	if (!fresh)
		return -ENOMEM;
	fresh->generation = generation;
	fresh = bpf_kptr_xchg(&slot->object, fresh);
	if (fresh)
		bpf_obj_drop(fresh);
	return 0;
}

static int look(void)
{
	struct object *object;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	object = slot->object;
	if (!object)
		return 0;
	return object->generation;
}

SEC("tc")
int make(struct __sk_buff *skb)
{
	return put(1);
}

SEC("tc")
int put_back(struct __sk_buff *skb)
{
	struct object *taken;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	taken = bpf_kptr_xchg(&slot->object, NULL);
	if (!taken)
		return -ENOENT;
	taken = bpf_kptr_xchg(&slot->object, taken);
	if (!taken)
		return 0;
	bpf_obj_drop(taken);
	return 1;
}

SEC("tc")
int replace(struct __sk_buff *skb)
{
	int error = put(2);

	return error ? error : look();
}

SEC("tc")
int tell(struct __sk_buff *skb)
{
	return look();
}

char _license[] SEC("license") = "Dual MIT/GPL";
