// SPDX-License-Identifier: MIT OR Apache-2.0
// The item's start is no node.
//
// program: link_off_node
// verdict: reject
// errno: EINVAL
// reason: bpf_rb_node not found at offset=0
// insn: 16
#include "../graph.h"

SEC("tc")
int link_off_node(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, (void *)item, item_less); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
