// SPDX-License-Identifier: MIT OR Apache-2.0
// A loop, however short: only who has CAP_BPF may jump backwards.
//
// loader: unprivileged
//
// program: unprivileged_loop
// verdict: reject
// errno: EINVAL
// reason: back-edge from insn 4 to 2
#include "kptrsim.h"

SEC("socket")
int unprivileged_loop(struct __sk_buff *skb)
{
	asm volatile("r0 = 0;"
		     "r1 = 4;"
		     "1: r0 += 1;"
		     "r1 += -1;"
		     "if r1 != 0 goto 1b;"
		     ::: "r0", "r1");
	return 0;
}

char _license[] SEC("license") = "GPL";
