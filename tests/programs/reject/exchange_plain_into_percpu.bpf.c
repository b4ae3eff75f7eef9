// SPDX-License-Identifier: MIT OR Apache-2.0
// An object with one copy, put where per-CPU objects live: the reader would add a CPU's offset to its address.
//
// program: exchange_plain_into_percpu
// verdict: reject
// errno: EACCES
// reason: invalid kptr access, R2 type=ptr_ expected=ptr_counts
// insn: 17
#include "../slot.h"

SEC("tc")
int exchange_plain_into_percpu(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	struct counts __percpu_kptr *old;
	struct counts *p;

	if (!e)
		return 0;
	p = bpf_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->pc, p); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
