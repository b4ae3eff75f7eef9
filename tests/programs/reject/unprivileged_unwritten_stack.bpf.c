// SPDX-License-Identifier: MIT OR Apache-2.0
// Stack that was never written may hold what another program of the kernel left there.
//
// loader: unprivileged
//
// program: unprivileged_unwritten_stack
// verdict: reject
// errno: EACCES
// reason: invalid read from stack R10 off=-8 size=8
// insn: 0
#include "kptrsim.h"

SEC("socket")
int unprivileged_unwritten_stack(struct __sk_buff *skb)
{
	asm volatile("r0 = *(u64 *)(r10 - 8);" // REJECT
		     ::: "r0");
	return 0;
}

char _license[] SEC("license") = "GPL";
