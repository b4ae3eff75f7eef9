// SPDX-License-Identifier: MIT OR Apache-2.0
// An array without a length is no scalar.
//
// program: alloc_flexible_array
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type ID argument must be of a struct of scalars
// insn: 3
#include "../slot.h"

struct flexible {
	long length;
	long values[];
};

SEC("tc")
int alloc_flexible_array(struct __sk_buff *skb)
{
	struct flexible __percpu_kptr *p = bpf_percpu_obj_new(struct flexible); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
