// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_per_cpu_ptr reaches any CPU's copy, for writing too.
//
// program: write_every_cpu
// verdict: accept
#include "../slot.h"

SEC("tc")
int write_every_cpu(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *there;
	int cpu;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	bpf_for(cpu, 0, 64) {
		there = bpf_per_cpu_ptr(p, cpu);
		if (!there)
			break;
		there->hits = 0;
		there->bytes = 0;
		there->drops = 0;
	}
	return 0;
}
