// SPDX-License-Identifier: MIT OR Apache-2.0
// Inside an RCU section the publisher may go on using what it published.
//
// program: alias_after_exchange
// verdict: accept
#include "../slot.h"

SEC("tc")
int alias_after_exchange(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	mine = bpf_this_cpu_ptr(p);
	mine->bytes = skb->len;
	return 0;
}
