// SPDX-License-Identifier: MIT OR Apache-2.0
// A clone shares the record with the dynptr that it was made of: submitting either submits both.
//
// program: dynptr_clone_submitted
// verdict: accept
#include "../record.h"

SEC("tc")
int dynptr_clone_submitted(struct __sk_buff *skb)
{
	struct bpf_dynptr record, clone;

	bpf_ringbuf_reserve_dynptr(&records, 16, 0, &record);
	bpf_dynptr_clone(&record, &clone);
	bpf_ringbuf_submit_dynptr(&clone, 0);
	return 0;
}
