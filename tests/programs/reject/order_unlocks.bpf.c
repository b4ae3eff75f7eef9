// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback must leave the lock alone.
//
// program: order_unlocks
// verdict: reject
// errno: EACCES
// reason: can't spin_{lock,unlock} in rbtree cb
// insn: 25
#include "../graph.h"

static bool unlocks(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	bpf_spin_unlock(&item_lock); // REJECT
	return false;
}

SEC("tc")
int order_unlocks(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, unlocks);
	bpf_spin_unlock(&item_lock);
	return 0;
}
