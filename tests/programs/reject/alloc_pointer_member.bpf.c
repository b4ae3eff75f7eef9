// SPDX-License-Identifier: MIT OR Apache-2.0
// Who would free what the copies point to?
//
// program: alloc_pointer_member
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type ID argument must be of a struct of scalars
// insn: 3
#include "../slot.h"

struct with_pointer {
	long hits;
	struct counts *next;
};

SEC("tc")
int alloc_pointer_member(struct __sk_buff *skb)
{
	struct with_pointer __percpu_kptr *p = bpf_percpu_obj_new(struct with_pointer); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
