// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr without a reference may be overwritten, by another dynptr half over it too.
//
// program: dynptr_overwritten
// verdict: accept
#include "../record.h"

SEC("tc")
int dynptr_overwritten(struct __sk_buff *skb)
{
	char room[24] __attribute__((aligned(8)));
	char *upper = room + 8;

	asm volatile("" : "+r"(upper));
	bpf_dynptr_from_mem(bytes, 8, 0, (struct bpf_dynptr *)room);
	bpf_dynptr_from_mem(bytes, 8, 0, (struct bpf_dynptr *)upper);
	return bpf_dynptr_size((struct bpf_dynptr *)upper);
}
