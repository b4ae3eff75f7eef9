// SPDX-License-Identifier: MIT OR Apache-2.0
// The verifier learns that a pointer is not NULL from a comparison with the constant 0, not from one with a register that
// holds 0.
//
// program: null_by_register
// verdict: reject
// errno: EACCES
// reason: R1 type=percpu_rcu_ptr_or_null_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 11
#include "../slot.h"

SEC("tc")
int null_by_register(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;
	long nothing = 0;

	if (e == NULL)
		return 0;
	p = e->pc;
	barrier_var(nothing);
	if ((long)p == nothing)
		return 0;
	mine = bpf_this_cpu_ptr(p); // REJECT
	mine->hits++;
	return 0;
}
