// SPDX-License-Identifier: MIT OR Apache-2.0
// A record's dynptr must not be lost.
//
// program: dynptr_record_overwritten
// verdict: reject
// errno: EINVAL
// reason: cannot overwrite referenced dynptr
// insn: 9
#include "../record.h"

SEC("tc")
int dynptr_record_overwritten(struct __sk_buff *skb)
{
	struct bpf_dynptr record;

	bpf_ringbuf_reserve_dynptr(&records, 16, 0, &record);
	((volatile char *)&record)[13] = 1; // REJECT
	bpf_ringbuf_discard_dynptr(&record, 0);
	return 0;
}
