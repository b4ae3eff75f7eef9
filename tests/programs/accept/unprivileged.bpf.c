// SPDX-License-Identifier: MIT OR Apache-2.0
// What a process without capabilities may load: packets counted by kind, a slot of an array chosen by a number that is
// bounded and never negative, the result of a lookup checked, stack that was written first.
//
// loader: unprivileged
//
// program: count_by_protocol
// verdict: accept
// program: count_by_length
// verdict: accept
// program: let_in
// verdict: accept
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} by_protocol SEC(".maps");

struct sizes {
	u64 count[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sizes);
} by_length SEC(".maps");

SEC("socket")
int count_by_protocol(struct __sk_buff *skb)
{
	u8 protocol = 0;
	u64 *count;
	u32 key;

	if (bpf_skb_load_bytes(skb, 23, &protocol, 1))
		return 0;
	key = protocol;
	count = bpf_map_lookup_elem(&by_protocol, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

SEC("socket")
int count_by_length(struct __sk_buff *skb)
{
	u64 index = skb->len >> 7;
	struct sizes *sizes;
	u32 key = 0;

	sizes = bpf_map_lookup_elem(&by_length, &key);
	if (!sizes)
		return 0;
	sizes->count[index & 15]++;
	return 0;
}

SEC("cgroup_skb/ingress")
int let_in(struct __sk_buff *skb)
{
	return skb->len < 1500;
}

char _license[] SEC("license") = "GPL";
