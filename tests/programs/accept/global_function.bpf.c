// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function settles everything by itself, and is verified without knowing its callers.
//
// program: global_function
// verdict: accept
#include "../slot.h"

__noinline long total_hits(int cpus)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *there;
	long sum = 0;
	int cpu;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	bpf_for(cpu, 0, cpus) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (there)
			sum += there->hits;
	}
	return sum;
}

SEC("tc")
int global_function(struct __sk_buff *skb)
{
	return total_hits(skb->len & 63);
}
