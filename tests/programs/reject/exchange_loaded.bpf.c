// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer that was read out of the map is the map's, not the program's.
//
// program: exchange_loaded
// verdict: reject
// errno: EACCES
// reason: R2 type=percpu_rcu_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_
// insn: 12
#include "../slot.h"

SEC("tc")
int exchange_loaded(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
