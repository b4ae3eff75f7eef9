// SPDX-License-Identifier: MIT OR Apache-2.0
// Once the lock is given back the tree may have freed the item.
//
// program: use_linked_after_unlock
// verdict: reject
// errno: EACCES
// reason: R6 invalid mem access 'scalar'
// insn: 22
#include "../graph.h"

SEC("tc")
int use_linked_after_unlock(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, item_less);
	bpf_spin_unlock(&item_lock);
	item->key = 2; // REJECT
	return 0;
}
