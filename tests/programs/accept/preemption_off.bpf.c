// SPDX-License-Identifier: MIT OR Apache-2.0
// With preemption off, this CPU's copy stays this CPU's between two looks at it.
//
// program: preemption_off
// verdict: accept
#include "../slot.h"

SEC("syscall")
int preemption_off(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;
	long hits = 0;

	if (!e)
		return 0;
	bpf_guard_preempt();
	bpf_rcu_read_lock();
	p = e->pc;
	if (p) {
		mine = bpf_this_cpu_ptr(p);
		hits = ++mine->hits;
	}
	bpf_rcu_read_unlock();
	return hits;
}
