// SPDX-License-Identifier: MIT OR Apache-2.0
// 513 bytes: one more than the per-CPU allocator's largest bucket.
//
// program: alloc_too_large
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type size (513) is greater than 512
// insn: 3
#include "../slot.h"

struct too_large {
	char bytes[513];
};

SEC("tc")
int alloc_too_large(struct __sk_buff *skb)
{
	struct too_large __percpu_kptr *p = bpf_percpu_obj_new(struct too_large); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
