// SPDX-License-Identifier: MIT OR Apache-2.0
// An item that is not in the tree cannot be removed from it.
//
// program: remove_owned
// verdict: reject
// errno: EINVAL
// reason: rbtree_remove node input must be non-owning ref
// insn: 13
#include "../graph.h"

SEC("tc")
int remove_owned(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_remove(&items, &item->node); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
