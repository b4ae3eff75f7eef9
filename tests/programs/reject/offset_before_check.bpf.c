// SPDX-License-Identifier: MIT OR Apache-2.0
// Arithmetic on a pointer that may be NULL would hide the NULL from the check.
//
// program: offset_before_check
// verdict: reject
// errno: EACCES
// reason: R1 pointer arithmetic on percpu_rcu_ptr_or_null_ prohibited, null-check it first
// insn: 9
#include "../slot.h"

SEC("tc")
int offset_before_check(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	void *p;

	if (!e)
		return 0;
	p = (void *)e->pc;
	p += 8; // REJECT
	barrier_var(p);
	return p != NULL;
}
