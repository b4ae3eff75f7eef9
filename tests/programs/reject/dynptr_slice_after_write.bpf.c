// SPDX-License-Identifier: MIT OR Apache-2.0
// A write through the dynptr may move the packet that the slice points to.
//
// program: dynptr_slice_after_write
// verdict: reject
// errno: EACCES
// reason: R7 invalid mem access 'scalar'
// insn: 22
#include "../record.h"

SEC("tc")
int dynptr_slice_after_write(struct __sk_buff *skb)
{
	char buffer[8], *slice;
	struct bpf_dynptr packet;

	bpf_dynptr_from_skb(skb, 0, &packet);
	slice = bpf_dynptr_slice(&packet, 0, buffer, sizeof(buffer));
	if (!slice)
		return 0;
	bpf_dynptr_write(&packet, 0, bytes, 4, 0);
	return slice[0]; // REJECT
}
