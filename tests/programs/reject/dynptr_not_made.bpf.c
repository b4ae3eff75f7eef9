// SPDX-License-Identifier: MIT OR Apache-2.0
// A dynptr that is made on one branch only.
//
// program: dynptr_not_made
// verdict: reject
// errno: EINVAL
// reason: Expected an initialized dynptr as arg #0
// insn: 11
#include "../record.h"

SEC("tc")
int dynptr_not_made(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;

	if (skb->len > 4)
		bpf_dynptr_from_mem(bytes, 8, 0, &memory);
	return bpf_dynptr_size(&memory); // REJECT
}
