// SPDX-License-Identifier: MIT OR Apache-2.0
// A number is no object, whatever its value.
//
// program: exchange_number
// verdict: reject
// errno: EACCES
// reason: R2 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_
// insn: 12
#include "../slot.h"

SEC("tc")
int exchange_number(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->pc, (void *)(long)skb->len); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
