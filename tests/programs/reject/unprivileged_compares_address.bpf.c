// SPDX-License-Identifier: MIT OR Apache-2.0
// An address compared with a number: the outcome tells something of the address.
//
// loader: unprivileged
//
// program: unprivileged_compares_address
// verdict: reject
// errno: EACCES
// reason: R1 pointer comparison prohibited
// insn: 1
#include "kptrsim.h"

SEC("socket")
int unprivileged_compares_address(struct __sk_buff *skb)
{
	if ((unsigned long)skb > 1000) // REJECT
		return 1;
	return 0;
}

char _license[] SEC("license") = "GPL";
