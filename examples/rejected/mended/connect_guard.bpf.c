// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Forbids connections to the telnet port for the processes of a cgroup.
 */
#include "kptrsim.h"

#define TELNET 23

SEC("cgroup/connect4")
int guard(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == __builtin_bswap16(TELNET))
		return 0;
	return 1;
}

char _license[] SEC("license") = "GPL";
