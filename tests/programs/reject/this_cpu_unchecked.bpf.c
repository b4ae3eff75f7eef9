// SPDX-License-Identifier: MIT OR Apache-2.0
// The field may be empty.
//
// program: this_cpu_unchecked
// verdict: reject
// errno: EACCES
// reason: R1 type=percpu_rcu_ptr_or_null_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 9
#include "../slot.h"

SEC("tc")
int this_cpu_unchecked(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	mine = bpf_this_cpu_ptr(e->pc); // REJECT
	return mine->hits;
}
