// SPDX-License-Identifier: MIT OR Apache-2.0
// A tree: add, look at the first, remove, drop. What was added is the tree's, but may be used until the lock is given
// back.
//
// program: tree_fill
// verdict: accept
//
// program: tree_drain
// verdict: accept
#include "../graph.h"

SEC("tc")
int tree_fill(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	item->key = skb->len;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, item_less);
	item->key++;
	bpf_spin_unlock(&item_lock);
	return 0;
}

SEC("tc")
int tree_drain(struct __sk_buff *skb)
{
	struct bpf_rb_node *node;
	int i;

	bpf_for(i, 0, 10) {
		bpf_spin_lock(&item_lock);
		node = bpf_rbtree_first(&items);
		if (node)
			node = bpf_rbtree_remove(&items, node);
		bpf_spin_unlock(&item_lock);
		if (!node)
			break;
		bpf_obj_drop(container_of(node, struct item, node));
	}
	return 0;
}
