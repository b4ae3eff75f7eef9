// SPDX-License-Identifier: MIT OR Apache-2.0
// Each round of the loop allocates, and only the last object is dropped.
//
// program: leak_in_loop
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=4 alloc_insn=15
// insn: 35
#include "../slot.h"

SEC("tc")
int leak_in_loop(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = NULL;
	int i;

	bpf_for(i, 0, 4)
		p = bpf_percpu_obj_new(struct counts);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0; // REJECT
}
