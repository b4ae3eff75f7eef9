// SPDX-License-Identifier: MIT OR Apache-2.0
// A record that was submitted through a clone is gone.
//
// program: dynptr_submitted_twice
// verdict: reject
// errno: EINVAL
// reason: arg 1 is an unacquired reference
// insn: 18
#include "../record.h"

SEC("tc")
int dynptr_submitted_twice(struct __sk_buff *skb)
{
	struct bpf_dynptr record, clone;

	bpf_ringbuf_reserve_dynptr(&records, 16, 0, &record);
	bpf_dynptr_clone(&record, &clone);
	bpf_ringbuf_submit_dynptr(&clone, 0);
	bpf_ringbuf_submit_dynptr(&record, 0); // REJECT
	return 0;
}
