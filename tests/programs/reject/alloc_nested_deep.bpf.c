// SPDX-License-Identifier: MIT OR Apache-2.0
// Structs may nest four deep, the object itself counted.
//
// program: alloc_nested_deep
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type ID argument must be of a struct of scalars
// insn: 3
#include "../slot.h"

struct nested_deep {
	struct {
		struct {
			struct {
				struct {
					long hits;
				} e;
			} d;
		} c;
	} b;
};

SEC("tc")
int alloc_nested_deep(struct __sk_buff *skb)
{
	struct nested_deep __percpu_kptr *p = bpf_percpu_obj_new(struct nested_deep); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
