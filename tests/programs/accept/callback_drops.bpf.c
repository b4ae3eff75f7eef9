// SPDX-License-Identifier: MIT OR Apache-2.0
// Each call of the callback takes what is in the slot and drops it.
//
// program: callback_drops
// verdict: accept
#include "../slot.h"

static int empty_slot(u32 round, void *context)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 1;
	p = bpf_kptr_xchg(&e->pc, NULL);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

SEC("tc")
int callback_drops(struct __sk_buff *skb)
{
	bpf_loop(4, empty_slot, NULL, 0);
	return 0;
}
