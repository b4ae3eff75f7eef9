// SPDX-License-Identifier: MIT OR Apache-2.0
// The object that was to hold the per-CPU one is gone already.
//
// program: exchange_into_dropped
// verdict: reject
// errno: EACCES
// reason: R1 type=scalar expected=map_value, ptr_
// insn: 18
#include "../slot.h"

struct holder {
	long sum;
	struct counts __percpu_kptr *pc;
};

SEC("tc")
int exchange_into_dropped(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct holder *h = bpf_obj_new(struct holder);

	if (!h)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	bpf_obj_drop(h);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&h->pc, p); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}
