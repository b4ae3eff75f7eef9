// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing can be taken out of a filter again.
//
// program: bloom_filter_pop
// verdict: reject
// errno: EINVAL
// reason: cannot pass map_type 30 into func bpf_map_pop_elem#88
// insn: 8
#include "kptrsim.h"

struct flow {
	__u32 from;
	__u32 to;
};

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 64);
	__type(value, struct flow);
} seen SEC(".maps");

SEC("tc")
int bloom_filter_pop(struct __sk_buff *skb)
{
	struct flow flow = { .from = skb->mark, .to = skb->len };

	bpf_map_pop_elem(&seen, &flow); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
