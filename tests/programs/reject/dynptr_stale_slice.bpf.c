// SPDX-License-Identifier: MIT OR Apache-2.0
// A slice of a record that was submitted.
//
// program: dynptr_stale_slice
// verdict: reject
// errno: EACCES
// reason: R7 invalid mem access 'scalar'
// insn: 18
#include "../record.h"

SEC("tc")
int dynptr_stale_slice(struct __sk_buff *skb)
{
	struct bpf_dynptr record;
	char *slice;

	bpf_ringbuf_reserve_dynptr(&records, 16, 0, &record);
	slice = bpf_dynptr_data(&record, 0, 8);
	bpf_ringbuf_submit_dynptr(&record, 0);
	if (slice)
		return slice[0]; // REJECT
	return 0;
}
