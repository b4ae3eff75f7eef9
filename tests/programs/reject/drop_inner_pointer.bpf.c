// SPDX-License-Identifier: MIT OR Apache-2.0
// Drop takes the pointer that the allocation gave, unchanged.
//
// program: drop_inner_pointer
// verdict: reject
// errno: EINVAL
// reason: R1 must have zero offset when passed to release func or trusted arg to kfunc
// insn: 8
#include "../slot.h"

SEC("tc")
int drop_inner_pointer(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_percpu_obj_drop((void *)p + 8); // REJECT
	return 0;
}
