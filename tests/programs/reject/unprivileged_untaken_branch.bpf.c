// SPDX-License-Identifier: MIT OR Apache-2.0
// A branch that is never taken is explored all the same, since a processor may begin it by mistake; there a pointer
// would be read where a number stands.
//
// loader: unprivileged
//
// program: unprivileged_untaken_branch
// verdict: reject
// errno: EACCES
// reason: R1 invalid mem access 'scalar'
// insn: 2
#include "kptrsim.h"

SEC("socket")
int unprivileged_untaken_branch(struct __sk_buff *skb)
{
	asm volatile("r1 = 0;" // REJECT
		     "if r1 == 0 goto 1f;"
		     "r0 = *(u8 *)(r1 + 0);"
		     "1:"
		     ::: "r0", "r1");
	return 0;
}

char _license[] SEC("license") = "GPL";
