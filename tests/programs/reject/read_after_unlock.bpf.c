// SPDX-License-Identifier: MIT OR Apache-2.0
// A copy that was found inside the section is read outside it. The kernel refuses it by way of an internal check: a copy
// that is no longer under RCU looks to it like an owned object whose reference is missing.
//
// program: read_after_unlock
// verdict: reject
// errno: EFAULT
// reason: verifier internal error: ref_obj_id for allocated object must be non-zero
// insn: 17
#include "../slot.h"

SEC("syscall")
int read_after_unlock(void *ctx)
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
	mine = bpf_this_cpu_ptr(p);
	bpf_rcu_read_unlock();
	return mine->hits; // REJECT
}
