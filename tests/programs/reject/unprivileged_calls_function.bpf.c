// SPDX-License-Identifier: MIT OR Apache-2.0
// A call of another function of the program.
//
// loader: unprivileged
//
// program: unprivileged_calls_function
// verdict: reject
// errno: EPERM
// reason: loading/calling other bpf or kernel functions are allowed for CAP_BPF and CAP_SYS_ADMIN
#include "kptrsim.h"

__attribute__((noinline)) static int twice(int number)
{
	asm volatile("");
	return number * 2;
}

SEC("socket")
int unprivileged_calls_function(struct __sk_buff *skb)
{
	return twice(skb->len);
}

char _license[] SEC("license") = "GPL";
