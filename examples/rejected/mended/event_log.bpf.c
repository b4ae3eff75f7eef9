// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Writes a record with the start of the packet into a ring buffer: as much of it as there is, up to 64 bytes.
 */
#include "kptrsim.h"

#define START 64

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("tc")
int log_packet(struct __sk_buff *skb)
{
	__u32 length = skb->len < START ? skb->len : START;
	struct bpf_dynptr record;
	__u8 start[START] = {};

	if (bpf_skb_load_bytes(skb, 0, start, 14))
		return TC_ACT_OK;
	if (bpf_ringbuf_reserve_dynptr(&events, START, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return TC_ACT_OK;
	}
	bpf_dynptr_write(&record, 0, start, START, 0);
	bpf_dynptr_write(&record, 0, &length, sizeof(length), 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
