// SPDX-License-Identifier: MIT OR Apache-2.0
// A socket filter may not allocate: the kernel function is registered for other program types.
//
// program: socket_filter
// verdict: reject
// errno: EACCES
// reason: calling kernel function bpf_percpu_obj_new_impl is not allowed
// insn: 3
#include "../slot.h"

SEC("socket")
int socket_filter(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
