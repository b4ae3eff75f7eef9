// SPDX-License-Identifier: MIT OR Apache-2.0
// Owning survives the end of a section; borrowing does not, and is renewed by a new load in the next one.
//
// program: relock_and_reload
// verdict: accept
#include "../slot.h"

SEC("syscall")
int relock_and_reload(void *ctx)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	p = bpf_percpu_obj_new(struct counts);
	bpf_rcu_read_unlock();
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	bpf_rcu_read_lock();
	p = e->pc;
	if (p) {
		mine = bpf_this_cpu_ptr(p);
		mine->hits++;
	}
	bpf_rcu_read_unlock();
	return 0;
}
