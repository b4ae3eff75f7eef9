// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer is moved by a number that may be negative or not, so that no mask can keep it inside.
//
// loader: unprivileged
//
// program: unprivileged_mixed_signs
// verdict: reject
// errno: EACCES
// reason: R1 has unknown scalar with mixed signed bounds, pointer arithmetic with it prohibited for !root
// insn: 14
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
int unprivileged_mixed_signs(struct __sk_buff *skb)
{
	struct pair *pair;
	u32 key = 0;

	pair = bpf_map_lookup_elem(&pairs, &key);
	if (!pair)
		return 0;
	asm volatile("r1 = *(u32 *)(%[skb] + 0);" // REJECT
		     "r1 &= 15;"
		     "r1 += -8;"
		     "r2 = %[pair];"
		     "r2 += 8;"
		     "r2 += r1;"
		     :: [skb] "r"(skb), [pair] "r"(pair) : "r1", "r2");
	return 0;
}

char _license[] SEC("license") = "GPL";
