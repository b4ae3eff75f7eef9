// SPDX-License-Identifier: MIT OR Apache-2.0
// A sleepable program outside an RCU section: the object may be freed between the load and its use.
//
// program: this_cpu_untrusted
// verdict: reject
// errno: EACCES
// reason: R1 type=untrusted_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 10
#include "../slot.h"

SEC("syscall")
int this_cpu_untrusted(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p); // REJECT
	return mine->hits;
}
