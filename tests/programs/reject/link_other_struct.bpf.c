// SPDX-License-Identifier: MIT OR Apache-2.0
// A job in a tree of items.
//
// program: link_other_struct
// verdict: reject
// errno: EINVAL
// reason: operation on bpf_rb_root expects arg#1 bpf_rb_node at offset=8 in struct item, but arg is at offset=8 in struct job
// insn: 17
#include "../graph.h"

SEC("tc")
int link_other_struct(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job);

	if (!job)
		return 0;
	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, &job->node, item_less); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
