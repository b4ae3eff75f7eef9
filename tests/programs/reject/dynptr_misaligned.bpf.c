// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr across three slots.
//
// program: dynptr_misaligned
// verdict: reject
// errno: EINVAL
// reason: Dynptr has to be an uninitialized dynptr
// insn: 6
#include "../record.h"

SEC("tc")
int dynptr_misaligned(struct __sk_buff *skb)
{
	struct bpf_dynptr room[2];
	char *place = (char *)room;

	place += 4;
	asm volatile("" : "+r"(place));
	return bpf_dynptr_from_mem(bytes, 8, 0, (struct bpf_dynptr *)place); // REJECT
}
