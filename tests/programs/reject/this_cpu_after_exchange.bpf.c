// SPDX-License-Identifier: MIT OR Apache-2.0
// Outside an RCU section the exchange leaves nothing behind: whoever takes the object may free it at once.
//
// program: this_cpu_after_exchange
// verdict: reject
// errno: EACCES
// reason: R1 type=scalar expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 24
#include "../slot.h"

SEC("syscall")
int this_cpu_after_exchange(void *ctx)
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
	mine = bpf_this_cpu_ptr(p); // REJECT
	return mine->hits;
}
