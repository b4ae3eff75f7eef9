// SPDX-License-Identifier: MIT OR Apache-2.0
// Writing the low half of the pointer: no access to the field may be narrower than the field.
//
// program: store_partly
// verdict: reject
// errno: EACCES
// reason: kptr access size must be BPF_DW
// insn: 8
#include "../slot.h"

SEC("tc")
int store_partly(struct __sk_buff *skb)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	*(volatile int *)&e->pc = 0; // REJECT
	return 0;
}
