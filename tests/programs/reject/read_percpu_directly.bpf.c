// SPDX-License-Identifier: MIT OR Apache-2.0
// The pointer is an offset into per-CPU memory: it has to become some CPU's copy first.
//
// program: read_percpu_directly
// verdict: reject
// errno: EACCES
// reason: R1 is ptr_counts access percpu memory: off=0
// insn: 10
#include "../slot.h"

SEC("tc")
int read_percpu_directly(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	struct counts *p;

	if (!e)
		return 0;
	p = (struct counts *)e->pc;
	if (!p)
		return 0;
	return p->hits; // REJECT
}
