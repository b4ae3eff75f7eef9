// SPDX-License-Identifier: MIT OR Apache-2.0
// The exchange hands the old object back, and with it the duty to drop it.
//
// program: leak_old
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=5 alloc_insn=17
// insn: 19
#include "../slot.h"

SEC("tc")
int leak_old(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	bpf_kptr_xchg(&e->pc, p);
	return 0;
} // REJECT
