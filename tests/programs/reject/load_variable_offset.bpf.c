// SPDX-License-Identifier: MIT OR Apache-2.0
// The offset is within the value's bounds, but may or may not hit the pointer.
//
// program: load_variable_offset
// verdict: reject
// errno: EACCES
// reason: kptr access cannot have variable offset
// insn: 12
#include "../slot.h"

SEC("tc")
int load_variable_offset(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	unsigned int at = skb->len & 24;

	if (!e)
		return 0;
	return *(volatile long *)((char *)e + at); // REJECT
}
