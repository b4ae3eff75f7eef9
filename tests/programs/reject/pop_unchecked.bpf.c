// SPDX-License-Identifier: MIT OR Apache-2.0
// The list may be empty.
//
// program: pop_unchecked
// verdict: reject
// errno: EACCES
// reason: R6 pointer arithmetic on ptr_or_null_ prohibited, null-check it first
// insn: 10
#include "../graph.h"

SEC("tc")
int pop_unchecked(struct __sk_buff *skb)
{
	struct bpf_list_node *node;

	bpf_spin_lock(&item_lock);
	node = bpf_list_pop_front(&queue);
	bpf_spin_unlock(&item_lock);
	bpf_obj_drop(container_of(node, struct job, link)); // REJECT
	return 0;
}
