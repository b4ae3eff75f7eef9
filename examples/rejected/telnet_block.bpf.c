// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Drops TCP segments to the telnet port, whatever options their IP header has.
 */
#include "kptrsim.h"

#define TCP 6
#define TELNET 23

struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 protocol;
};

struct ipv4 {
	__u8 version_and_length;
	__u8 service;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 time_to_live;
	__u8 protocol;
	__sum16 checksum;
	__be32 source;
	__be32 destination;
};

struct tcp {
	__be16 source;
	__be16 destination;
	__be32 sequence;
};

SEC("xdp")
int block_telnet(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethernet *ethernet = data;
	struct ipv4 *ip = data + sizeof(*ethernet);
	struct tcp *tcp;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	if (ethernet->protocol != __builtin_bswap16(ETH_P_IP) || ip->protocol != TCP)
		return XDP_PASS;
	tcp = (void *)ip + (ip->version_and_length & 0xf) * 4;
	if (tcp->destination == __builtin_bswap16(TELNET))
		return XDP_DROP;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
