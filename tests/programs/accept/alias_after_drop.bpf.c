// SPDX-License-Identifier: MIT OR Apache-2.0
// The object is taken out and dropped while the section still reads it: the memory outlives the section.
//
// program: alias_after_drop
// verdict: accept
#include "../slot.h"

SEC("syscall")
int alias_after_drop(void *ctx)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	struct counts *mine;
	long hits = 0;

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	p = e->pc;
	if (p) {
		old = bpf_kptr_xchg(&e->pc, NULL);
		if (old)
			bpf_percpu_obj_drop(old);
		mine = bpf_this_cpu_ptr(p);
		hits = mine->hits;
	}
	bpf_rcu_read_unlock();
	return hits;
}
