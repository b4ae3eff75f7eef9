// SPDX-License-Identifier: MIT OR Apache-2.0
// A filter is asked for a value that the program fills in.
//
// program: bloom_filter
// verdict: accept
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
int bloom_filter(struct __sk_buff *skb)
{
	struct flow flow = { .from = skb->mark, .to = skb->len };

	if (bpf_map_peek_elem(&seen, &flow))
		bpf_map_push_elem(&seen, &flow, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
