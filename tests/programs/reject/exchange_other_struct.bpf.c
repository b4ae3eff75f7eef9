// SPDX-License-Identifier: MIT OR Apache-2.0
// The object's type has to be the field's, by identity and not by shape.
//
// program: exchange_other_struct
// verdict: reject
// errno: EACCES
// reason: invalid kptr access, R2 type=percpu_ptr_same_shape expected=ptr_counts
// insn: 17
#include "../slot.h"

struct same_shape {
	long hits;
	long bytes;
	long drops;
};

SEC("tc")
int exchange_other_struct(struct __sk_buff *skb)
{
	struct same_shape __percpu_kptr *p;
	struct counts __percpu_kptr *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct same_shape);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
