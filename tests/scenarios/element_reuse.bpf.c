// SPDX-License-Identifier: MIT OR Apache-2.0
// An element of a hash map is deleted and its memory given to another key, while another CPU still has a pointer to it.
#include "kptrsim.h"

struct owned {
	__u64 owner, same;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct owned);
} preallocated SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct owned);
} allocated SEC(".maps");

static __always_inline int put(void *map, int key)
{
	struct owned value = { key, key };

	return bpf_map_update_elem(map, &key, &value, 0);
}

static __always_inline int hand_over(void *map)
{
	int key = 1;

	return bpf_map_delete_elem(map, &key) ?: put(map, 2);
}

/* Time for the others, of which a schedule knows nothing: it touches only what no one else sees. */
static __always_inline void wait_a_little(void)
{
	for (int i = 0; i < 5000; i++)
		asm volatile("" : "+r"(i));
}

/* Whose the value is that key 1 was found to have: by its first and by its second word. */
static __always_inline int read(void *map)
{
	int key = 1;
	volatile struct owned *value = bpf_map_lookup_elem(map, &key);

	if (!value)
		return 0;
	wait_a_little();
	int owner = value->owner;
	int same = value->same;
	return owner * 10 + same;
}

SEC("tc")
int put_preallocated(struct __sk_buff *skb)
{
	return put(&preallocated, 1);
}

SEC("tc")
int hand_over_preallocated(struct __sk_buff *skb)
{
	return hand_over(&preallocated);
}

SEC("tc")
int read_preallocated(struct __sk_buff *skb)
{
	return read(&preallocated);
}

SEC("tc")
int replace_preallocated(struct __sk_buff *skb)
{
	int key = 1;
	struct owned value = { 3, 3 };
	int failed = bpf_map_update_elem(&preallocated, &key, &value, BPF_EXIST);

	value.owner = 4;
	value.same = 4;
	return failed ?: bpf_map_update_elem(&preallocated, &key, &value, BPF_EXIST);
}

SEC("tc")
int put_allocated(struct __sk_buff *skb)
{
	return put(&allocated, 1);
}

SEC("tc")
int hand_over_allocated(struct __sk_buff *skb)
{
	return hand_over(&allocated);
}

SEC("tc")
int read_allocated(struct __sk_buff *skb)
{
	return read(&allocated);
}

char _license[] SEC("license") = "Dual MIT/GPL";
