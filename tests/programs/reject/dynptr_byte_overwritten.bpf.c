// SPDX-License-Identifier: MIT OR Apache-2.0
// One byte stored to a dynptr destroys it.
//
// program: dynptr_byte_overwritten
// verdict: reject
// errno: EINVAL
// reason: Expected an initialized dynptr as arg #0
// insn: 11
#include "../record.h"

SEC("tc")
int dynptr_byte_overwritten(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;

	bpf_dynptr_from_mem(bytes, 8, 0, &memory);
	((volatile char *)&memory)[3] = 1;
	return bpf_dynptr_size(&memory); // REJECT
}
