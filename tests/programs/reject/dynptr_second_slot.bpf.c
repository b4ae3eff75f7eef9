// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer to a dynptr's second half.
//
// program: dynptr_second_slot
// verdict: reject
// errno: EINVAL
// reason: Expected an initialized dynptr as arg #0
// insn: 9
#include "../record.h"

SEC("tc")
int dynptr_second_slot(struct __sk_buff *skb)
{
	struct bpf_dynptr memory[2];
	char *half = (char *)memory;

	bpf_dynptr_from_mem(bytes, 8, 0, memory);
	half += 8;
	asm volatile("" : "+r"(half));
	return bpf_dynptr_size((struct bpf_dynptr *)half); // REJECT
}
