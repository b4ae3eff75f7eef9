// SPDX-License-Identifier: MIT OR Apache-2.0
// The slot that held the pointer is filled with a second one: nothing can drop the first any more.
//
// program: leak_overwritten_slot
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=3
// insn: 16
#include "../slot.h"

SEC("tc")
int leak_overwritten_slot(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *volatile kept;
	struct counts __percpu_kptr *p;

	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	kept = p;
	p = bpf_percpu_obj_new(struct counts);
	if (!p) {
		bpf_percpu_obj_drop(kept);
		return 0;
	}
	kept = p;
	bpf_percpu_obj_drop(kept);
	return 0;
} // REJECT
