// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that fills stack must not be given a dynptr's slots.
//
// program: dynptr_read_into_itself
// verdict: reject
// errno: EACCES
// reason: potential write to dynptr at off=-16 disallowed
// insn: 13
#include "../record.h"

SEC("tc")
int dynptr_read_into_itself(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;

	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &memory);
	return bpf_dynptr_read(&memory, sizeof(memory), &memory, 0, 0); // REJECT
}
