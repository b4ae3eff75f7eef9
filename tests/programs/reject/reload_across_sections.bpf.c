// SPDX-License-Identifier: MIT OR Apache-2.0
// Loaded in the first section, used in the second: the object's grace period may have passed in between.
//
// program: reload_across_sections
// verdict: reject
// errno: EACCES
// reason: R1 type=percpu_untrusted_ptr_ expected=percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_
// insn: 16
#include "../slot.h"

SEC("syscall")
int reload_across_sections(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;
	long hits = 0;

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	p = e->pc;
	bpf_rcu_read_unlock();
	bpf_rcu_read_lock();
	if (p) {
		mine = bpf_this_cpu_ptr(p); // REJECT
		hits = mine->hits;
	}
	bpf_rcu_read_unlock();
	return hits;
}
