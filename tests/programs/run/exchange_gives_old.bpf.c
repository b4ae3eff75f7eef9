// SPDX-License-Identifier: MIT OR Apache-2.0
// What comes back from the exchange is what was there before: nothing, then the first object, then the second.
//
// program: exchange_gives_old
// verdict: accept
//
// cpus: 1 2 4 64
// run: exchange_gives_old = 6
// leaks: 0
#include "../slot.h"

static __always_inline struct counts __percpu_kptr *fresh(void)
{
	return bpf_percpu_obj_new(struct counts);
}

SEC("syscall")
int exchange_gives_old(void *ctx)
{
	struct counts __percpu_kptr *p, *old;
	struct slot *e = the_slot();
	int seen = 0;

	if (!e)
		return -1;
	p = fresh();
	if (!p)
		return -2;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old) {
		seen |= 1;
		bpf_percpu_obj_drop(old);
	}
	p = fresh();
	if (!p)
		return -3;
	old = bpf_kptr_xchg(&e->pc, p);
	if (old) {
		seen |= 2;
		bpf_percpu_obj_drop(old);
	}
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (old) {
		seen |= 4;
		bpf_percpu_obj_drop(old);
	}
	old = bpf_kptr_xchg(&e->pc, NULL);
	if (old) {
		seen |= 8;
		bpf_percpu_obj_drop(old);
	}
	return seen;
}
