// SPDX-License-Identifier: MIT OR Apache-2.0
// Which type is allocated has to be a constant in the program.
//
// program: alloc_variable_type
// verdict: reject
// errno: EINVAL
// reason: R1 must be a known constant
// insn: 2
#include "../slot.h"

SEC("tc")
int alloc_variable_type(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new_impl(skb->len, NULL); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
