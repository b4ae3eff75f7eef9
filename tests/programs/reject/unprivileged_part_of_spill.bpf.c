// SPDX-License-Identifier: MIT OR Apache-2.0
// Half of a spilled pointer is overwritten, which would leave the other half as a number.
//
// loader: unprivileged
//
// program: unprivileged_part_of_spill
// verdict: reject
// errno: EACCES
// reason: attempt to corrupt spilled pointer on stack
// insn: 2
#include "kptrsim.h"

SEC("socket")
int unprivileged_part_of_spill(struct __sk_buff *skb)
{
	asm volatile("r0 = 0;" // REJECT
		     "*(u64 *)(r10 - 8) = r1;"
		     "*(u32 *)(r10 - 8) = r0;"
		     ::: "r0");
	return 0;
}

char _license[] SEC("license") = "GPL";
