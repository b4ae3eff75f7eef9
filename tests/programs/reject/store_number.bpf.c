// SPDX-License-Identifier: MIT OR Apache-2.0
// An immediate store (BPF_ST) would forge a pointer out of a number.
//
// program: store_number
// verdict: reject
// errno: EACCES
// reason: store to referenced kptr disallowed
// insn: 9
#include "../slot.h"

SEC("tc")
int store_number(struct __sk_buff *skb)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	/* *(u64 *)(r1 + 24) = 7, which clang writes by itself only from -mcpu=v4 on */
	asm volatile("r1 = %[e]; .byte 0x7a, 0x01; .short 24; .long 7" ::[e] "r"(e) : "r1", "memory"); // REJECT
	return 0;
}
