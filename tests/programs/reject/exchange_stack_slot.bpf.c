// SPDX-License-Identifier: MIT OR Apache-2.0
// The stack is private to one run: it is no place to publish an object.
//
// program: exchange_stack_slot
// verdict: reject
// errno: EACCES
// reason: R1 type=fp expected=map_value, ptr_
// insn: 8
#include "../slot.h"

SEC("tc")
int exchange_stack_slot(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	struct slot here = {};

	old = bpf_kptr_xchg(&here.pc, NULL); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
