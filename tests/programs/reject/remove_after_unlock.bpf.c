// SPDX-License-Identifier: MIT OR Apache-2.0
// What was first in the tree may be gone.
//
// program: remove_after_unlock
// verdict: reject
// errno: EINVAL
// reason: rbtree_remove node input must be non-owning ref
// insn: 17
#include "../graph.h"

SEC("tc")
int remove_after_unlock(struct __sk_buff *skb)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&item_lock);
	node = bpf_rbtree_first(&items);
	bpf_spin_unlock(&item_lock);
	if (!node)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_remove(&items, node); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
