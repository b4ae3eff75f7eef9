// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback must leave the tree alone.
//
// program: order_removes
// verdict: reject
// errno: EINVAL
// reason: rbtree_remove not allowed in rbtree cb
// insn: 26
#include "../graph.h"

static bool removes(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_rbtree_remove(&items, a); // REJECT
	return false;
}

SEC("tc")
int order_removes(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, removes);
	bpf_spin_unlock(&item_lock);
	return 0;
}
