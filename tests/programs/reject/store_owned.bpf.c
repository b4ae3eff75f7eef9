// SPDX-License-Identifier: MIT OR Apache-2.0
// A kptr field that owns its object can only be filled by exchange: a plain store would forget the object that it held.
//
// program: store_owned
// verdict: reject
// errno: EACCES
// reason: store to referenced kptr disallowed
// insn: 14
#include "../slot.h"

SEC("tc")
int store_owned(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	e->pc = p; // REJECT
	return 0;
}
