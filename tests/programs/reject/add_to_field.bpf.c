// SPDX-License-Identifier: MIT OR Apache-2.0
// Atomic arithmetic on the pointer: the field is moved whole, by the plain load and by the exchange, and nothing else.
//
// program: add_to_field
// verdict: reject
// errno: EACCES
// reason: kptr in map can only be accessed using BPF_MEM instruction mode
// insn: 9
#include "../slot.h"

SEC("tc")
int add_to_field(struct __sk_buff *skb)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	__sync_fetch_and_add((long *)&e->pc, 8); // REJECT
	return 0;
}
