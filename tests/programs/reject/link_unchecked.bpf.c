// SPDX-License-Identifier: MIT OR Apache-2.0
// The allocation may have failed.
//
// program: link_unchecked
// verdict: reject
// errno: EINVAL
// reason: arg#1 expected pointer to allocated object
// insn: 15
#include "../graph.h"

SEC("tc")
int link_unchecked(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	bpf_spin_lock(&item_lock);
	bpf_rbtree_add(&items, (void *)item, item_less); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
