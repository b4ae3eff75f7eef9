// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr at one of two places.
//
// program: dynptr_variable_offset
// verdict: reject
// errno: EINVAL
// reason: Dynptr has to be an uninitialized dynptr
// insn: 10
#include "../record.h"

SEC("tc")
int dynptr_variable_offset(struct __sk_buff *skb)
{
	struct bpf_dynptr room[3];
	long which = skb->len & 1;

	asm volatile("" : "+r"(which));
	return bpf_dynptr_from_mem(bytes, 8, 0, (void *)room + which * 8); // REJECT
}
