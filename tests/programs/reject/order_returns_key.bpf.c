// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback says yes or no.
//
// program: order_returns_key
// verdict: reject
// errno: EINVAL
// reason: At callback return the register R0 has unknown scalar value should have been in [0, 1]
// insn: 24
#include "../graph.h"

static long returns_key(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct item, node)->key; // REJECT
}

SEC("tc")
int order_returns_key(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &item->node, (void *)returns_key);
	bpf_spin_unlock(&item_lock);
	return 0;
}
