// SPDX-License-Identifier: MIT OR Apache-2.0
// After the exchange the register still reads the object, but no longer owns it: it cannot be given away twice.
//
// program: exchange_borrowed
// verdict: reject
// errno: EACCES
// reason: R2 type=percpu_rcu_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_
// insn: 25
#include "../slot.h"

SEC("tc")
int exchange_borrowed(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	old = bpf_kptr_xchg(&e->pc, p); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
