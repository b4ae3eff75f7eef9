// SPDX-License-Identifier: MIT OR Apache-2.0
// The dropped pointer is a plain number now.
//
// program: read_after_drop
// verdict: reject
// errno: EACCES
// reason: R6 invalid mem access 'scalar'
// insn: 17
#include "../slot.h"

SEC("tc")
int read_after_drop(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (!old)
		return 0;
	bpf_percpu_obj_drop(old);
	return ((struct counts *)old)->hits; // REJECT
}
