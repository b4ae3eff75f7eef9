// SPDX-License-Identifier: MIT OR Apache-2.0
// An exception is fine once everything is settled.
//
// program: throw_owing_nothing
// verdict: accept
#include "../slot.h"

SEC("tc")
int throw_owing_nothing(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		bpf_throw(1);
	bpf_percpu_obj_drop(p);
	return 0;
}
