// SPDX-License-Identifier: MIT OR Apache-2.0
// An owned pointer keeps its reference through the stack.
//
// program: spill_and_fill
// verdict: accept
#include "../slot.h"

SEC("tc")
int spill_and_fill(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *volatile kept;
	struct counts __percpu_kptr *p;

	p = bpf_percpu_obj_new(struct counts);
	kept = p;
	bpf_ktime_get_ns();
	p = kept;
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
