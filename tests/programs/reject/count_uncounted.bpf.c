// SPDX-License-Identifier: MIT OR Apache-2.0
// Items are not counted.
//
// program: count_uncounted
// verdict: reject
// errno: EINVAL
// reason: arg#0 doesn't point to a type with bpf_refcount field
// insn: 7
#include "../graph.h"

SEC("tc")
int count_uncounted(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_refcount_acquire(item); // REJECT
	return 0;
}
