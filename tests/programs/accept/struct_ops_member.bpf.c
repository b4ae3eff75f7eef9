// SPDX-License-Identifier: MIT OR Apache-2.0
// A congestion control in a program: members with and without a result, and the fields that may be written.
//
// program: start
// verdict: accept
//
// program: threshold
// verdict: accept
//
// program: avoid
// verdict: accept
//
// program: nullable_argument
// verdict: accept
#include "kptrsim.h"

struct tcp_sock {
	unsigned int snd_cwnd;
	unsigned int snd_ssthresh;
} __attribute__((preserve_access_index));

struct tcp_congestion_ops {
	unsigned int (*ssthresh)(struct sock *sk);
	void (*cong_avoid)(struct sock *sk, unsigned int ack, unsigned int acked);
	void (*init)(struct sock *sk);
};

struct bpf_dummy_ops_state {
	int val;
} __attribute__((preserve_access_index));

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *state);
};

SEC("struct_ops")
void BPF_PROG(start, struct tcp_sock *tp)
{
	tp->snd_cwnd = 10;
}

SEC("struct_ops")
unsigned int BPF_PROG(threshold, struct tcp_sock *tp)
{
	return tp->snd_cwnd / 2;
}

SEC("struct_ops")
void BPF_PROG(avoid, struct tcp_sock *tp, unsigned int ack, unsigned int acked)
{
	tp->snd_cwnd += acked;
}

SEC("struct_ops")
int BPF_PROG(nullable_argument, struct bpf_dummy_ops_state *state)
{
	if (!state)
		return 0;
	state->val = 1;
	return state->val;
}

SEC(".struct_ops")
struct tcp_congestion_ops control = {
	.init = (void *)start,
	.ssthresh = (void *)threshold,
	.cong_avoid = (void *)avoid,
};

SEC(".struct_ops")
struct bpf_dummy_ops dummy = {
	.test_1 = (void *)nullable_argument,
};

char _license[] SEC("license") = "GPL";
