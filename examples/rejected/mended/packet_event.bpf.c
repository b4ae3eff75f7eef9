// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Tells user space of packets through a ring buffer, and counts the bytes that it told of.
 */
#include "kptrsim.h"

struct event {
	__u64 time;
	__u32 length;
	__u32 mark;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

__u64 bytes_told;

SEC("tc")
int tell(struct __sk_buff *skb)
{
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return TC_ACT_OK;
	event->time = bpf_ktime_get_ns();
	event->length = skb->len;
	event->mark = skb->mark;
	__sync_fetch_and_add(&bytes_told, event->length);
	bpf_ringbuf_submit(event, 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
