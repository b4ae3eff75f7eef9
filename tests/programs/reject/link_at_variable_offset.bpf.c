// SPDX-License-Identifier: MIT OR Apache-2.0
// The root's place must be known.
//
// program: link_at_variable_offset
// verdict: reject
// errno: EINVAL
// reason: R1 doesn't have constant offset. bpf_rb_root has to be at the constant offset
// insn: 9
#include "../graph.h"

SEC("tc")
int link_at_variable_offset(struct __sk_buff *skb)
{
	bpf_spin_lock(&item_lock);
	bpf_rbtree_first((void *)&items + (skb->len & 16)); // REJECT
	bpf_spin_unlock(&item_lock);
	return 0;
}
