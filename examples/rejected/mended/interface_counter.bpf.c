// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Counts packets by the interface that they come in on.
 *
 * User space puts the interfaces that it wants counted into the map; packets of all others pass uncounted.
 */
#include "kptrsim.h"

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic_of SEC(".maps");

SEC("tc")
int count_by_interface(struct __sk_buff *skb)
{
	__u32 interface = skb->ifindex;
	struct traffic *traffic;

	traffic = bpf_map_lookup_elem(&traffic_of, &interface);
	if (!traffic)
		return TC_ACT_OK;
	__sync_fetch_and_add(&traffic->packets, 1);
	__sync_fetch_and_add(&traffic->bytes, skb->len);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
