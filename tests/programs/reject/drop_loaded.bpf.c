// SPDX-License-Identifier: MIT OR Apache-2.0
// A loaded pointer is borrowed: the map still owns the object and would free it again.
//
// program: drop_loaded
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 11
#include "../slot.h"

SEC("tc")
int drop_loaded(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	bpf_percpu_obj_drop(p); // REJECT
	return 0;
}
