// SPDX-License-Identifier: MIT OR Apache-2.0
// An address stored in a map, from where any process with the map could read it.
//
// loader: unprivileged
//
// program: unprivileged_address_in_map
// verdict: reject
// errno: EACCES
// reason: R6 leaks addr into map
// insn: 9
#include "kptrsim.h"

struct pair {
	u64 a, b;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct pair);
} pairs SEC(".maps");

SEC("socket")
int unprivileged_address_in_map(struct __sk_buff *skb)
{
	struct pair *pair;
	u32 key = 0;

	pair = bpf_map_lookup_elem(&pairs, &key);
	if (!pair)
		return 0;
	pair->a = (long)skb; // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
