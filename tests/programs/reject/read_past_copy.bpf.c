// SPDX-License-Identifier: MIT OR Apache-2.0
// One field past the end of a CPU's copy.
//
// program: read_past_copy
// verdict: reject
// errno: EACCES
// reason: access beyond struct counts at off 24 size 8
// insn: 11
#include "../slot.h"

SEC("tc")
int read_past_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	long *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	return mine[3]; // REJECT
}
