// SPDX-License-Identifier: MIT OR Apache-2.0
// A per-CPU object is carried through an allocated object, and comes out with its contents.
//
// program: stash_and_take
// verdict: accept
//
// cpus: 1 2 4 64
// run: stash_and_take = 99
// map: slots[0].total.hits = 1
// leaks: 0
#include "../slot.h"

struct holder {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

SEC("tc")
int stash_and_take(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	struct counts *there;
	struct holder *h;

	if (!e)
		return -1;
	h = bpf_obj_new(struct holder);
	if (!h)
		return -2;
	p = bpf_percpu_obj_new(struct counts);
	if (!p) {
		bpf_obj_drop(h);
		return -3;
	}
	old = bpf_kptr_xchg(&h->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	there = bpf_per_cpu_ptr(p, 0);
	if (there)
		there->hits = 99;
	h->total.hits = 1;
	old = bpf_kptr_xchg(&h->pc, NULL);
	if (!old) {
		bpf_obj_drop(h);
		return -4;
	}
	e->total.hits = h->total.hits;
	bpf_obj_drop(h);
	old = bpf_kptr_xchg(&e->pc, old);
	if (old)
		bpf_percpu_obj_drop(old);
	p = e->pc;
	if (!p)
		return -5;
	there = bpf_per_cpu_ptr(p, 0);
	return there ? there->hits : -6;
}
