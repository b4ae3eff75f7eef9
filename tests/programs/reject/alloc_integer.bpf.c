// SPDX-License-Identifier: MIT OR Apache-2.0
// A single number has to be wrapped in a struct.
//
// program: alloc_integer
// verdict: reject
// errno: EINVAL
// reason: bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct
// insn: 3
#include "../slot.h"

typedef long number;

SEC("tc")
int alloc_integer(struct __sk_buff *skb)
{
	number __percpu_kptr *p = bpf_percpu_obj_new(number); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
