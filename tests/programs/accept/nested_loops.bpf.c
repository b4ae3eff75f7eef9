// SPDX-License-Identifier: MIT OR Apache-2.0
// An iterator inside an iterator, with an early way out of both.
//
// program: nested_loops
// verdict: accept
#include "../slot.h"

SEC("tc")
int nested_loops(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *there;
	long sum = 0;
	int i, cpu;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	bpf_for(i, 0, 10) {
		bpf_for(cpu, 0, 64) {
			there = bpf_per_cpu_ptr(p, cpu);
			if (!there)
				break;
			sum += there->hits;
			if (sum > 1000)
				return 1;
		}
	}
	return 0;
}
