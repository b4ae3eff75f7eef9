// SPDX-License-Identifier: MIT OR Apache-2.0
// A slice that is for reading.
//
// program: dynptr_slice_read_only
// verdict: reject
// errno: EACCES
// reason: R0 cannot write into rdonly_mem
// insn: 15
#include "../record.h"

SEC("tc")
int dynptr_slice_read_only(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;
	char *slice;

	bpf_dynptr_from_mem(bytes, 8, 0, &memory);
	slice = bpf_dynptr_slice(&memory, 0, NULL, 4);
	if (slice)
		slice[0] = 1; // REJECT
	return 0;
}
