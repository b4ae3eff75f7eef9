// SPDX-License-Identifier: MIT OR Apache-2.0
// Storing NULL into the field would leak what it held: that too takes bpf_kptr_xchg.
//
// program: store_null
// verdict: reject
// errno: EACCES
// reason: store to referenced kptr disallowed
// insn: 9
#include "../slot.h"

SEC("tc")
int store_null(struct __sk_buff *skb)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	e->pc = NULL; // REJECT
	return 0;
}
