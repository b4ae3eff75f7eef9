// SPDX-License-Identifier: MIT OR Apache-2.0
// A per-CPU object inside an allocated object: who owns the outer one may exchange the inner.
//
// program: stash_in_local_object
// verdict: accept
#include "../slot.h"

struct holder {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

SEC("tc")
int stash_in_local_object(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct holder *h = bpf_obj_new(struct holder);

	if (!h)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (p) {
		old = bpf_kptr_xchg(&h->pc, p);
		if (old)
			bpf_percpu_obj_drop(old);
	}
	bpf_obj_drop(h);
	return 0;
}
