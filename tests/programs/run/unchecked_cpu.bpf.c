// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel takes the result of bpf_per_cpu_ptr on a per-CPU object for never NULL, even when the CPU may not exist. So
// this program is accepted, and on a machine with too few CPUs it reads through NULL.
//
// program: unchecked_cpu
// verdict: accept
//
// cpus: 1 2 4 64
// set: cpu=cpus
// run: unchecked_cpu faults null-dereference
#include "../slot.h"

const volatile int cpu;

SEC("tc")
int unchecked_cpu(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *there;

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
	there = bpf_per_cpu_ptr(p, cpu);
	return there->hits;
}
