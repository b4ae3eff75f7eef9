// SPDX-License-Identifier: MIT OR Apache-2.0
// The address of the list where a tree is wanted.
//
// program: link_into_list_as_tree
// verdict: reject
// errno: EINVAL
// reason: bpf_rb_root not found at offset=8
// insn: 17
#include "../graph.h"

SEC("tc")
int link_into_list_as_tree(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add((void *)&queue, &item->node, item_less); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
