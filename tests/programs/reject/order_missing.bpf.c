// SPDX-License-Identifier: MIT OR Apache-2.0
// No callback.
//
// program: order_missing
// verdict: reject
// errno: EINVAL
// reason: arg2 expected pointer to func
// insn: 16
#include "../graph.h"

SEC("tc")
int order_missing(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, NULL); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
