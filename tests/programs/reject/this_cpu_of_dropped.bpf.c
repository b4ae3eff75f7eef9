// SPDX-License-Identifier: MIT OR Apache-2.0
// No CPU's copy of a dropped object can be asked for.
//
// program: this_cpu_of_dropped
// verdict: reject
// errno: EACCES
// reason: R1 type=scalar expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 11
#include "../slot.h"

SEC("tc")
int this_cpu_of_dropped(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);
	struct counts *mine;

	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	mine = bpf_this_cpu_ptr(p); // REJECT
	return mine->hits;
}
