// SPDX-License-Identifier: MIT OR Apache-2.0
// A tree is touched under the lock beside its root only.
//
// program: link_without_lock
// verdict: reject
// errno: EINVAL
// reason: bpf_spin_lock at off=16 must be held for bpf_rb_root
// insn: 13
#include "../graph.h"

SEC("tc")
int link_without_lock(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_rbtree_add(&items, &item->node, item_less); // REJECT
	return 0;
}
