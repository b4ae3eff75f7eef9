// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that cannot sleep is in an RCU section from its start to its end. One that it enters and leaves itself is inside of that, and
// leaves the program in the outer one: what it has read from a map outlives that it is taken out of there and dropped.
//
// program: inner_section
// verdict: accept
//
// cpus: 1 2 4
// run: inner_section = 6
// run: inner_section = 6
// leaks: 0
#include "../slot.h"

SEC("tc")
int inner_section(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct counts __percpu_kptr *taken;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return -1;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	bpf_rcu_read_lock();
	bpf_rcu_read_unlock();
	p = e->pc;
	if (!p)
		return -3;
	taken = bpf_kptr_xchg(&e->pc, NULL);
	if (!taken)
		return -4;
	bpf_percpu_obj_drop(taken);
	mine = bpf_this_cpu_ptr(p);
	mine->hits = 6;
	return mine->hits;
}
