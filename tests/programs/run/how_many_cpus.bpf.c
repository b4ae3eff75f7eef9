// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_per_cpu_ptr gives a copy for each CPU and NULL beyond: counting the copies counts the CPUs.
//
// program: how_many_cpus
// verdict: accept
//
// cpus: 1 2 4 64
// run: how_many_cpus = cpus
// run: how_many_cpus = cpus
// leaks: 0
#include "../slot.h"

SEC("tc")
int how_many_cpus(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	int cpu, copies = 0;

	if (!e)
		return -1;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	p = e->pc;
	if (!p)
		return -3;
	bpf_for(cpu, 0, 1000) {
		if (bpf_per_cpu_ptr(p, cpu))
			copies++;
	}
	return copies;
}
