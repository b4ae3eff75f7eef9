// SPDX-License-Identifier: MIT OR Apache-2.0
// An iterator of one slot at the frame pointer itself: the place passes as the stack's first slot, the write does not.
//
// program: iterator_above_stack
// verdict: reject
// errno: EACCES
// reason: invalid write to stack R1 off=0 size=8
// insn: 3
#include "../slot.h"

SEC("tc")
int iterator_above_stack(struct __sk_buff *skb)
{
	struct bpf_iter_num it;

	asm volatile("r1 = r10; r2 = 0; r3 = 3; call %[new]" ::[new] "i"(bpf_iter_num_new) // REJECT
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	bpf_iter_num_new(&it, 0, 3);
	bpf_iter_num_destroy(&it);
	return 0;
}
