// SPDX-License-Identifier: MIT OR Apache-2.0
// An index that is brought inside by a comparison is a constant on one path and a range on the other: one addition would
// need two masks.
//
// loader: unprivileged
//
// program: unprivileged_two_masks
// verdict: reject
// errno: EACCES
// reason: R0 tried to add from different maps, paths or scalars, pointer arithmetic with it prohibited for !root
// insn: 13
#include "kptrsim.h"

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
int unprivileged_two_masks(struct __sk_buff *skb)
{
	u64 index = skb->len >> 7;
	struct sizes *sizes;
	u32 key = 0;

	sizes = bpf_map_lookup_elem(&by_length, &key);
	if (!sizes)
		return 0;
	if (index > 15)
		index = 15;
	sizes->count[index]++; // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
