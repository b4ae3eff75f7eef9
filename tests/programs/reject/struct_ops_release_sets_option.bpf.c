// SPDX-License-Identifier: MIT OR Apache-2.0
// A control that goes may not set options.
//
// program: option_at_release
// verdict: reject
// errno: EINVAL
// reason: program of this type cannot use helper bpf_setsockopt#49
// insn: 8
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
void BPF_PROG(option_at_release, struct tcp_sock *tp)
{
	int value = 0;

	bpf_setsockopt(tp, 6, 13, &value, sizeof(value)); // REJECT
}

SEC(".struct_ops")
struct tcp_congestion_ops control = {
	.release = (void *)option_at_release,
};

char _license[] SEC("license") = "GPL";
