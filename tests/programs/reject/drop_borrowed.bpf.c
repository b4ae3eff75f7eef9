// SPDX-License-Identifier: MIT OR Apache-2.0
// The object was published: from now on whoever takes it out of the map drops it, not the publisher.
//
// program: drop_borrowed
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 25
#include "../slot.h"

SEC("tc")
int drop_borrowed(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	bpf_percpu_obj_drop(p); // REJECT
	return 0;
}
