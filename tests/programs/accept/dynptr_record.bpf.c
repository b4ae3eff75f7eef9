// SPDX-License-Identifier: MIT OR Apache-2.0
// A ring buffer's record as a dynptr: written, looked into, submitted. What bpf_dynptr_data gives dies with the record.
//
// program: dynptr_record
// verdict: accept
#include "../record.h"

SEC("tc")
int dynptr_record(struct __sk_buff *skb)
{
	struct bpf_dynptr record;
	__u64 *first;

	if (bpf_ringbuf_reserve_dynptr(&records, 16, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return 0;
	}
	bpf_dynptr_write(&record, 8, bytes, 8, 0);
	first = bpf_dynptr_data(&record, 0, sizeof(*first));
	if (first)
		*first = skb->len;
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}
