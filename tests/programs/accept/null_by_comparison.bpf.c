// SPDX-License-Identifier: MIT OR Apache-2.0
// A check of one copy of the pointer holds for every other copy, in a register or on the stack.
//
// program: null_by_comparison
// verdict: accept
#include "../slot.h"

SEC("tc")
int null_by_comparison(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *copy;
	struct counts __percpu_kptr *volatile kept;
	struct slot *e = the_slot();
	struct counts *mine;

	if (e == NULL)
		return 0;
	p = e->pc;
	kept = p;
	copy = p;
	barrier_var(copy);
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(copy);
	mine->hits++;
	mine = bpf_this_cpu_ptr(kept);
	mine->bytes++;
	return 0;
}
