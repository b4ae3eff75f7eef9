// SPDX-License-Identifier: MIT OR Apache-2.0
// Each section loads the pointer afresh.
//
// program: two_sections
// verdict: accept
#include "../slot.h"

SEC("syscall")
int two_sections(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;
	long hits = 0;
	int i;

	if (!e)
		return 0;
	bpf_for(i, 0, 2) {
		bpf_rcu_read_lock();
		p = e->pc;
		if (p) {
			mine = bpf_this_cpu_ptr(p);
			hits += mine->hits;
		}
		bpf_rcu_read_unlock();
	}
	return hits;
}
