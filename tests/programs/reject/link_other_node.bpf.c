// SPDX-License-Identifier: MIT OR Apache-2.0
// The item's other node: there is a node, but not the one that this tree holds items by.
//
// program: link_other_node
// verdict: reject
// errno: EINVAL
// reason: arg#1 offset=40, but expected bpf_rb_node at offset=8 in struct item
// insn: 17
#include "../graph.h"

SEC("tc")
int link_other_node(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->spare, item_less); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
