// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Keeps a record of the last packet of each protocol. Loaded by a process without any capability.
 */
#include "kptrsim.h"

struct flow {
	__u32 protocol;
	__u32 length;
	__u32 mark;
	__u32 interface;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct flow);
} flows SEC(".maps");

SEC("socket")
int record(struct __sk_buff *skb)
{
	__u32 protocol = skb->protocol;
	struct flow flow;

	flow.protocol = protocol;
	flow.length = skb->len;
	flow.interface = skb->ifindex;
	bpf_map_update_elem(&flows, &protocol, &flow, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
