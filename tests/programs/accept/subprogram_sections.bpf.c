// SPDX-License-Identifier: MIT OR Apache-2.0
// One static function enters the RCU section, another one leaves it.
//
// program: subprogram_sections
// verdict: accept
#include "../slot.h"

static __noinline void enter(void)
{
	bpf_rcu_read_lock();
}

static __noinline void leave(void)
{
	bpf_rcu_read_unlock();
}

SEC("syscall")
int subprogram_sections(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;
	long hits = 0;

	if (!e)
		return 0;
	enter();
	p = e->pc;
	if (p) {
		mine = bpf_this_cpu_ptr(p);
		hits = mine->hits;
	}
	leave();
	return hits;
}
