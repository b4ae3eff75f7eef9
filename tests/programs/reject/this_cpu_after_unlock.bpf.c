// SPDX-License-Identifier: MIT OR Apache-2.0
// The section that protected the pointer has ended.
//
// program: this_cpu_after_unlock
// verdict: reject
// errno: EACCES
// reason: R1 type=percpu_untrusted_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 14
#include "../slot.h"

SEC("syscall")
int this_cpu_after_unlock(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	p = e->pc;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	mine = bpf_this_cpu_ptr(p); // REJECT
	return mine->hits;
}
