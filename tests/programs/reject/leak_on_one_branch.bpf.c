// SPDX-License-Identifier: MIT OR Apache-2.0
// Dropped for small packets only.
//
// program: leak_on_one_branch
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=4
// insn: 12
#include "../slot.h"

SEC("tc")
int leak_on_one_branch(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	if (skb->len < 100)
		bpf_percpu_obj_drop(p);
	return 0;
} // REJECT
