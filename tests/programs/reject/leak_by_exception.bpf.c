// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_throw unwinds the program, and nobody drops the object for it.
//
// program: leak_by_exception
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=4
// insn: 10
#include "../slot.h"

SEC("tc")
int leak_by_exception(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	if (skb->len == 0)
		bpf_throw(0); // REJECT
	bpf_percpu_obj_drop(p);
	return 0;
}
