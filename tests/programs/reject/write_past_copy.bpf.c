// SPDX-License-Identifier: MIT OR Apache-2.0
// The last write begins inside the copy and ends outside it.
//
// program: write_past_copy
// verdict: reject
// errno: EACCES
// reason: access beyond struct counts at off 20 size 8
// insn: 12
#include "../slot.h"

SEC("tc")
int write_past_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	char *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	*(volatile long *)(mine + 20) = 1; // REJECT
	return 0;
}
