// SPDX-License-Identifier: MIT OR Apache-2.0
// The first field of the value is a number.
//
// program: exchange_wrong_offset
// verdict: reject
// errno: EACCES
// reason: off=0 doesn't point to kptr
// insn: 10
#include "../slot.h"

SEC("tc")
int exchange_wrong_offset(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->total, NULL); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
