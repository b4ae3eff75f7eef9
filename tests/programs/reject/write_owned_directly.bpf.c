// SPDX-License-Identifier: MIT OR Apache-2.0
// Owning the object does not make its address a CPU's copy either.
//
// program: write_owned_directly
// verdict: reject
// errno: EACCES
// reason: R0 is ptr_counts access percpu memory: off=0
// insn: 6
#include "../slot.h"

SEC("tc")
int write_owned_directly(struct __sk_buff *skb)
{
	struct counts *p = (struct counts *)bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	p->hits = 1; // REJECT
	bpf_percpu_obj_drop(p);
	return 0;
}
