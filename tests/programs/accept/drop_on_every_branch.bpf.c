// SPDX-License-Identifier: MIT OR Apache-2.0
// Published, or dropped, or never allocated: each path settles what it owes.
//
// program: drop_on_every_branch
// verdict: accept
#include "../slot.h"

SEC("tc")
int drop_on_every_branch(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);
	struct slot *e;

	if (!p)
		return 1;
	switch (skb->len & 3) {
	case 0:
		bpf_percpu_obj_drop(p);
		return 2;
	case 1:
		e = the_slot();
		if (!e) {
			bpf_percpu_obj_drop(p);
			return 3;
		}
		p = bpf_kptr_xchg(&e->pc, p);
		if (!p)
			return 4;
		break;
	default:
		break;
	}
	bpf_percpu_obj_drop(p);
	return 5;
}
