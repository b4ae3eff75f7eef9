// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays may hold scalars only.
//
// program: alloc_array_of_structs
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type ID argument must be of a struct of scalars
// insn: 3
#include "../slot.h"

struct array_of_structs {
	struct counts each[4];
};

SEC("tc")
int alloc_array_of_structs(struct __sk_buff *skb)
{
	struct array_of_structs __percpu_kptr *p = bpf_percpu_obj_new(struct array_of_structs); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
