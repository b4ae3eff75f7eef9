// SPDX-License-Identifier: MIT OR Apache-2.0
// The copy on the stack dies with the object: dropping through it is a second drop.
//
// program: drop_spilled_copy
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 11
#include "../slot.h"

SEC("tc")
int drop_spilled_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *volatile kept;
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	kept = p;
	bpf_percpu_obj_drop(p);
	bpf_percpu_obj_drop(kept); // REJECT
	return 0;
}
