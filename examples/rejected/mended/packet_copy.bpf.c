// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Sends the start of each packet to user space: as many bytes as it asks for, up to 256.
 */
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} starts SEC(".maps");

__u32 wanted = 64;
char start[256];

SEC("tc")
int send_start(struct __sk_buff *skb)
{
	__u32 length = wanted;

	if (length > skb->len)
		length = skb->len;
	if (length > sizeof(start))
		length = sizeof(start);
	if (bpf_skb_load_bytes(skb, 0, start, sizeof(start)))
		return TC_ACT_OK;
	bpf_ringbuf_output(&starts, start, length, 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
