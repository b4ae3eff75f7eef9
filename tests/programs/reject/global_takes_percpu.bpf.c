// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function is verified alone and takes memory or numbers: an owned per-CPU object is neither.
//
// program: global_takes_percpu
// verdict: reject
// errno: EINVAL
// reason: Caller passes invalid args into func#1 ('consume')
// insn: 8
#include "../slot.h"

__noinline int consume(struct counts *p)
{
	if (!p)
		return 0;
	return p->hits;
}

SEC("tc")
int global_takes_percpu(struct __sk_buff *skb)
{
	struct counts *p = (struct counts *)bpf_percpu_obj_new(struct counts);
	int hits;

	if (!p)
		return 0;
	hits = consume(p); // REJECT
	bpf_percpu_obj_drop(p);
	return hits;
}
