// SPDX-License-Identifier: MIT OR Apache-2.0
// What was removed is owned again.
//
// program: removed_leaks
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=3 alloc_insn=10
// insn: 15
#include "../graph.h"

SEC("tc")
int removed_leaks(struct __sk_buff *skb)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&item_lock);
	node = bpf_rbtree_first(&items);
	if (node)
		bpf_rbtree_remove(&items, node);
	bpf_spin_unlock(&item_lock);
	return 0; // REJECT
}
