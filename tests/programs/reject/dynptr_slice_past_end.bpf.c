// SPDX-License-Identifier: MIT OR Apache-2.0
// One byte past the end of a slice.
//
// program: dynptr_slice_past_end
// verdict: reject
// errno: EACCES
// reason: R0 min value is outside of the allowed memory range
// insn: 15
#include "../record.h"

SEC("tc")
int dynptr_slice_past_end(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;
	char *slice;

	bpf_dynptr_from_mem(bytes, 8, 0, &memory);
	slice = bpf_dynptr_slice(&memory, 0, NULL, 4);
	if (!slice)
		return 0;
	return slice[4]; // REJECT
}
