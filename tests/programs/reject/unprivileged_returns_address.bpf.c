// SPDX-License-Identifier: MIT OR Apache-2.0
// An address given back as a result: a reader could learn where the kernel is.
//
// loader: unprivileged
//
// program: unprivileged_returns_address
// verdict: reject
// errno: EACCES
// reason: R0 leaks addr as return value
// insn: 1
#include "kptrsim.h"

SEC("socket")
int unprivileged_returns_address(struct __sk_buff *skb)
{
	return (long)skb; // REJECT
}

char _license[] SEC("license") = "GPL";
