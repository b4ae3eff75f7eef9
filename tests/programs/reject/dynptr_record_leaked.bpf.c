// SPDX-License-Identifier: MIT OR Apache-2.0
// A record must be given back even if it could not be reserved.
//
// program: dynptr_record_leaked
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=6
// insn: 13
#include "../record.h"

SEC("tc")
int dynptr_record_leaked(struct __sk_buff *skb)
{
	struct bpf_dynptr record;

	if (bpf_ringbuf_reserve_dynptr(&records, 16, 0, &record))
		return 0; // REJECT
	bpf_ringbuf_submit_dynptr(&record, 0);
	return 0;
}
