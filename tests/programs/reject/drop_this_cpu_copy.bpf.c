// SPDX-License-Identifier: MIT OR Apache-2.0
// A CPU's copy is a part of the object, not the object.
//
// program: drop_this_cpu_copy
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 13
#include "../slot.h"

SEC("tc")
int drop_this_cpu_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	bpf_obj_drop(bpf_this_cpu_ptr(p)); // REJECT
	return 0;
}
