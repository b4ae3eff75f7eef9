// SPDX-License-Identifier: MIT OR Apache-2.0
// The new object may be NULL, and the field must not silently become empty.
//
// program: exchange_unchecked
// verdict: reject
// errno: EFAULT
// reason: verifier internal error: invalid PTR_TO_BTF_ID register for type match
// insn: 16
#include "../slot.h"

SEC("tc")
int exchange_unchecked(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->pc, bpf_percpu_obj_new(struct counts)); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
