// SPDX-License-Identifier: MIT OR Apache-2.0
// A two-dimensional array is an array whose elements are not scalars.
//
// program: alloc_array_of_arrays
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type ID argument must be of a struct of scalars
// insn: 3
#include "../slot.h"

struct table {
	long cells[4][4];
};

SEC("tc")
int alloc_array_of_arrays(struct __sk_buff *skb)
{
	struct table __percpu_kptr *p = bpf_percpu_obj_new(struct table); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
