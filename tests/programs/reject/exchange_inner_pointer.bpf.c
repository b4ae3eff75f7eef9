// SPDX-License-Identifier: MIT OR Apache-2.0
// Ownership is of the whole object: a pointer to its second field cannot be handed over.
//
// program: exchange_inner_pointer
// verdict: reject
// errno: EACCES
// reason: invalid kptr access, R2 type=percpu_ptr_counts expected=ptr_counts
// insn: 18
#include "../slot.h"

SEC("tc")
int exchange_inner_pointer(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, (void *)p + 8); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
