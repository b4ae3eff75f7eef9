// SPDX-License-Identifier: MIT OR Apache-2.0
// The field is empty, and bpf_this_cpu_ptr of NULL is no copy of anything.
//
// program: faulting_null_copy
// verdict: reject
// errno: EACCES
// reason: R1 type=percpu_rcu_ptr_or_null_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 9
//
// cpus: 1 2 4 64
// run: faulting_null_copy faults bad-argument
#include "../slot.h"

SEC("tc")
int faulting_null_copy(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	mine = bpf_this_cpu_ptr(e->pc); // REJECT
	return mine->hits;
}
