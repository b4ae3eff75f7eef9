// SPDX-License-Identifier: MIT OR Apache-2.0
// Given to the tree, the item is not the program's any more to be given a second time.
//
// program: link_twice
// verdict: reject
// errno: EINVAL
// reason: arg#1 expected pointer to allocated object
// insn: 25
#include "../graph.h"

SEC("tc")
int link_twice(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, item_less);
	bpf_rbtree_add(&items, &item->node, item_less); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
