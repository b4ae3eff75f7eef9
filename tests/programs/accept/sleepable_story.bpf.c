// SPDX-License-Identifier: MIT OR Apache-2.0
// The same in one sleepable program, with its RCU section written out.
//
// program: sleepable_story
// verdict: accept
#include "../slot.h"

SEC("fentry.s/bpf_fentry_test1")
int BPF_PROG(sleepable_story)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	p = e->pc;
	if (!p) {
		p = bpf_percpu_obj_new(struct counts);
		if (!p)
			goto out;
		old = bpf_kptr_xchg(&e->pc, p);
		if (old)
			bpf_percpu_obj_drop(old);
	}
	mine = bpf_this_cpu_ptr(p);
	mine->hits++;
	e->total.hits = mine->hits;
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (old)
		bpf_percpu_obj_drop(old);
out:
	bpf_rcu_read_unlock();
	return 0;
}
