// SPDX-License-Identifier: MIT OR Apache-2.0
// A static function may also return an object that its caller then owns.
//
// program: subprogram_gives
// verdict: accept
#include "../slot.h"

static __noinline struct counts __percpu_kptr *take(struct slot *e)
{
	if (!e)
		return NULL;
	return bpf_kptr_xchg(&e->pc, NULL);
}

SEC("tc")
int subprogram_gives(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = take(the_slot());

	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	return 1;
}
