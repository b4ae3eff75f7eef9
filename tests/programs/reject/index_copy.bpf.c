// SPDX-License-Identifier: MIT OR Apache-2.0
// Unlike a map value, an allocated object takes no offset that is only known at run time, be it in bounds or not.
//
// program: index_copy
// verdict: reject
// errno: EACCES
// reason: R0 is ptr_counts invalid variable offset: off=0, var_off=(0x0; 0x8)
// insn: 16
#include "../slot.h"

SEC("tc")
int index_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	unsigned int which = skb->len & 1;
	long *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	return mine[which]; // REJECT
}
