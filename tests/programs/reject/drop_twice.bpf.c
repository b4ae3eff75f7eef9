// SPDX-License-Identifier: MIT OR Apache-2.0
// The first drop ends the object's life and takes the pointer out of every register.
//
// program: drop_twice
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 11
#include "../slot.h"

SEC("tc")
int drop_twice(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	bpf_percpu_obj_drop(p); // REJECT
	return 0;
}
