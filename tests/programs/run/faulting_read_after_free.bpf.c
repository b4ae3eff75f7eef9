// SPDX-License-Identifier: MIT OR Apache-2.0
// The section has ended and the grace period has passed: the copy that was found in it is somebody else's memory.
//
// program: faulting_read_after_free
// verdict: reject
// errno: EFAULT
// reason: verifier internal error: ref_obj_id for allocated object must be non-zero
// insn: 39
//
// cpus: 1 2 4 64
// run: faulting_read_after_free faults use-without-rcu
#include "../slot.h"

SEC("syscall")
int faulting_read_after_free(void *ctx)
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
	bpf_rcu_read_lock();
	p = e->pc;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	mine = bpf_this_cpu_ptr(p);
	mine->hits = 1;
	bpf_rcu_read_unlock();
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (old)
		bpf_percpu_obj_drop(old);
	return mine->hits; // REJECT
}
