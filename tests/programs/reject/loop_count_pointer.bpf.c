// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_loop wants a number of rounds; a pointer is none, even where any readable value would do for other helpers.
//
// program: loop_count_pointer
// verdict: reject
// errno: EACCES
// reason: R1 type=ctx expected=scalar
// insn: 4
#include "../slot.h"

static int round(unsigned int index, void *nothing)
{
	return 0;
}

SEC("tc")
int loop_count_pointer(struct __sk_buff *skb)
{
	long (*loop)(void *, void *, void *, __u64) = (void *)181;

	loop(skb, round, NULL, 0); // REJECT
	return 0;
}
