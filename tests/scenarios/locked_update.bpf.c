// SPDX-License-Identifier: MIT OR Apache-2.0
// A value is overwritten under its lock, and read with the lock and without.
#include "kptrsim.h"

struct locked {
	struct bpf_spin_lock lock;
	__u64 first, second;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked);
} values SEC(".maps");

SEC("tc")
int add(struct __sk_buff *skb)
{
	struct locked value = {};
	int key = 0;

	return bpf_map_update_elem(&values, &key, &value, 0);
}

SEC("tc")
int update(struct __sk_buff *skb)
{
	struct locked value = { .first = 0x0101010101010101, .second = 0x0101010101010101 };
	int key = 0;

	return bpf_map_update_elem(&values, &key, &value, BPF_F_LOCK);
}

SEC("tc")
int read_locked(struct __sk_buff *skb)
{
	int key = 0;
	struct locked *value = bpf_map_lookup_elem(&values, &key);

	if (!value)
		return -1;
	bpf_spin_lock(&value->lock);
	int first = value->first != 0;
	int second = value->second != 0;
	bpf_spin_unlock(&value->lock);
	return first * 10 + second;
}

SEC("tc")
int read_unlocked(struct __sk_buff *skb)
{
	int key = 0;
	volatile struct locked *value = bpf_map_lookup_elem(&values, &key);

	if (!value)
		return -1;
	int first = value->first != 0;
	int second = value->second != 0;
	return first * 10 + second;
}

char _license[] SEC("license") = "Dual MIT/GPL";
