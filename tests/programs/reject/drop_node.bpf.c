// SPDX-License-Identifier: MIT OR Apache-2.0
// A node is not its object.
//
// program: drop_node
// verdict: reject
// errno: EINVAL
// reason: R1 must have zero offset when passed to release func or trusted arg to kfunc
// insn: 13
#include "../graph.h"

SEC("tc")
int drop_node(struct __sk_buff *skb)
{
	struct bpf_list_node *node;

	bpf_spin_lock(&item_lock);
	node = bpf_list_pop_front(&queue);
	bpf_spin_unlock(&item_lock);
	if (node)
		bpf_obj_drop((void *)node); // REJECT
	return 0;
}
