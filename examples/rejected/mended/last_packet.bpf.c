// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Remembers the last packet of each protocol: what it looked like, and when it came.
 */
#include "kptrsim.h"

struct packet {
	__u64 seen_at;
	__u32 length;
	__u32 protocol;
};

struct slot {
	struct packet __kptr *last;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct slot);
} packets SEC(".maps");

SEC("tc")
int remember(struct __sk_buff *skb)
{
	__u32 key = skb->protocol % 16;
	struct packet *packet, *old;
	struct slot *slot;

	slot = bpf_map_lookup_elem(&packets, &key);
	if (!slot)
		return TC_ACT_OK;
	packet = bpf_obj_new(struct packet);
	if (!packet)
		return TC_ACT_OK;
	packet->length = skb->len;
	packet->protocol = skb->protocol;
	packet->seen_at = bpf_ktime_get_ns();

	old = bpf_kptr_xchg(&slot->last, packet);
	if (old)
		bpf_obj_drop(old);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
