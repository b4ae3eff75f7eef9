// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_dynptr_from_mem takes map values only.
//
// program: dynptr_over_stack
// verdict: reject
// errno: EACCES
// reason: Unsupported reg type fp for bpf_dynptr_from_mem data
// insn: 6
#include "../record.h"

SEC("tc")
int dynptr_over_stack(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;
	char buffer[8];

	return bpf_dynptr_from_mem(buffer, sizeof(buffer), 0, &memory); // REJECT
}
