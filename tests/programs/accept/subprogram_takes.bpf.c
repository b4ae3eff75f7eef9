// SPDX-License-Identifier: MIT OR Apache-2.0
// A static function is verified with its caller's state: it may take an object over and settle it.
//
// program: subprogram_takes
// verdict: accept
#include "../slot.h"

static __noinline int put(struct slot *e, struct counts __percpu_kptr *p)
{
	p = bpf_kptr_xchg(&e->pc, p);
	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	return 1;
}

SEC("tc")
int subprogram_takes(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	return put(e, p);
}
