// SPDX-License-Identifier: MIT OR Apache-2.0
// The object was allocated before the lookup, and the lookup's failure returns without it.
//
// program: leak_early_return
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=3
// insn: 23
#include "../slot.h"

SEC("tc")
int leak_early_return(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e;

	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	e = the_slot();
	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
} // REJECT
