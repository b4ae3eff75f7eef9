// SPDX-License-Identifier: MIT OR Apache-2.0
// What a dynptr consists of is the kernel's own.
//
// program: dynptr_read_directly
// verdict: reject
// errno: EACCES
// reason: invalid read from stack off -16+0 size 4
// insn: 10
#include "../record.h"

SEC("tc")
int dynptr_read_directly(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;

	if (bpf_dynptr_from_mem(bytes, 8, 0, &memory))
		return 0;
	return *(volatile int *)&memory; // REJECT
}
