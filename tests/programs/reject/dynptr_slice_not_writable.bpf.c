// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that may not write packets gets no writable slice, not even of memory of its own.
//
// program: dynptr_slice_not_writable
// verdict: reject
// errno: EINVAL
// reason: the prog does not allow writes to packet data
// insn: 12
#include "../record.h"

SEC("cgroup_skb/egress")
int dynptr_slice_not_writable(struct __sk_buff *skb)
{
	struct bpf_dynptr memory;

	bpf_dynptr_from_mem(bytes, 8, 0, &memory);
	return bpf_dynptr_slice_rdwr(&memory, 0, NULL, 4) ? 1 : 0; // REJECT
}
