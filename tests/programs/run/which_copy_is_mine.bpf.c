// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_this_cpu_ptr is bpf_per_cpu_ptr for the CPU that runs the program.
//
// program: which_copy_is_mine
// verdict: accept
//
// cpus: 4 64
// run: which_copy_is_mine@0 = 0
// run: which_copy_is_mine@3 = 3
// run: which_copy_is_mine@2 = 2
// leaks: 0
#include "../slot.h"

SEC("tc")
int which_copy_is_mine(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine, *there;
	int cpu, found = -1;

	if (!e)
		return -2;
	p = e->pc;
	if (!p) {
		p = bpf_percpu_obj_new(struct counts);
		if (!p)
			return -3;
		p = bpf_kptr_xchg(&e->pc, p);
		if (p)
			bpf_percpu_obj_drop(p);
		p = e->pc;
		if (!p)
			return -4;
	}
	mine = bpf_this_cpu_ptr(p);
	bpf_for(cpu, 0, 64) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (!there)
			break;
		there->drops = 0;
		mine->drops = 7;
		if (there->drops == 7)
			found = cpu;
	}
	return found;
}
