// SPDX-License-Identifier: MIT OR Apache-2.0
// The whole life in one sleepable program; it tells what it read through the alias after the object was taken out.
//
// program: sleepable_story
// verdict: accept
//
// cpus: 1 2 4 64
// run: sleepable_story = 42
// leaks: 0
#include "../slot.h"

SEC("syscall")
int sleepable_story(void *ctx)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	struct counts *mine;
	long result = -1;

	if (!e)
		return -2;
	bpf_rcu_read_lock();
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		goto out;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	mine = bpf_per_cpu_ptr(p, 0);
	if (!mine)
		goto out;
	mine->hits = 40;
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (!old)
		goto out;
	mine->hits += 2;
	result = mine->hits;
	bpf_percpu_obj_drop(old);
out:
	bpf_rcu_read_unlock();
	return result;
}
