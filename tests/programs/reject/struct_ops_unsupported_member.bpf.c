// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel has the member, but no program may stand for it.
//
// program: get_info
// verdict: reject
// errno: ENOTSUPP
// reason: attach to unsupported member get_info of struct tcp_congestion_ops
#include "kptrsim.h"

struct tcp_sock {
	unsigned int snd_cwnd;
	unsigned int snd_una;
} __attribute__((preserve_access_index));

struct tcp_congestion_ops {
	void (*init)(struct sock *sk);
	void (*release)(struct sock *sk);
	unsigned long (*get_info)(struct sock *sk, unsigned int ext, int *attr, void *info);
};

SEC("struct_ops")
int get_info(void *ctx)
{
	return 0;
}

SEC(".struct_ops")
struct tcp_congestion_ops control = {
	.get_info = (void *)get_info,
};

char _license[] SEC("license") = "GPL";
