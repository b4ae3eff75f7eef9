// SPDX-License-Identifier: MIT OR Apache-2.0
// The static function took the object over and returns without dropping it; its caller no longer has the pointer.
//
// program: subprogram_leaks
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=4
// insn: 13
#include "../slot.h"

static __noinline int take(struct counts __percpu_kptr *p, int really)
{
	if (really)
		bpf_percpu_obj_drop(p);
	return really;
}

SEC("tc")
int subprogram_leaks(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	return take(p, skb->len & 1);
} // REJECT
