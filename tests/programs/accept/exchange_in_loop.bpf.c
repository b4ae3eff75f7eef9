// SPDX-License-Identifier: MIT OR Apache-2.0
// Each round publishes a new object and drops the one before it.
//
// program: exchange_in_loop
// verdict: accept
#include "../slot.h"

SEC("tc")
int exchange_in_loop(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	int i;

	if (!e)
		return 0;
	bpf_for(i, 0, 100) {
		p = bpf_percpu_obj_new(struct counts);
		if (!p)
			break;
		old = bpf_kptr_xchg(&e->pc, p);
		if (old)
			bpf_percpu_obj_drop(old);
	}
	return 0;
}
