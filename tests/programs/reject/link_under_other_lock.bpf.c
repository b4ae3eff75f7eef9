// SPDX-License-Identifier: MIT OR Apache-2.0
// The lock that is held lies beside another tree.
//
// program: link_under_other_lock
// verdict: reject
// errno: EINVAL
// reason: bpf_spin_lock at off=16 must be held for bpf_rb_root
// insn: 17
#include "../graph.h"

SEC("tc")
int link_under_other_lock(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	bpf_spin_lock(&job_lock);
	bpf_rbtree_add(&items, &item->node, item_less); // REJECT
	bpf_spin_unlock(&job_lock);
	return 0;
}
