// SPDX-License-Identifier: MIT OR Apache-2.0
// A slice of a packet that may be written, with a buffer in case the bytes do not lie together; written back then.
//
// program: dynptr_packet_slice
// verdict: accept
#include "../record.h"

SEC("xdp")
int dynptr_packet_slice(struct xdp_md *ctx)
{
	char buffer[14], *slice;
	struct bpf_dynptr packet;

	bpf_dynptr_from_xdp(ctx, 0, &packet);
	slice = bpf_dynptr_slice_rdwr(&packet, 0, buffer, sizeof(buffer));
	if (!slice)
		return XDP_DROP;
	slice[13] = 1;
	if (slice == buffer)
		bpf_dynptr_write(&packet, 0, buffer, sizeof(buffer), 0);
	return XDP_PASS;
}
