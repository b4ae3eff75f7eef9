// SPDX-License-Identifier: MIT OR Apache-2.0
// An object that was not published yet has no copies to look at: publish it, then read it under RCU.
//
// program: this_cpu_of_owned
// verdict: reject
// errno: EACCES
// reason: R1 type=percpu_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 7
#include "../slot.h"

SEC("tc")
int this_cpu_of_owned(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);
	struct counts *mine;

	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p); // REJECT
	mine->hits = 1;
	bpf_percpu_obj_drop(p);
	return 0;
}
