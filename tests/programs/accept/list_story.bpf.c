// SPDX-License-Identifier: MIT OR Apache-2.0
// A list: what was popped is owned, and may be pushed again at the other end.
//
// program: list_rotate
// verdict: accept
//
// program: list_drain
// verdict: accept
#include "../graph.h"

SEC("tc")
int list_rotate(struct __sk_buff *skb)
{
	struct bpf_list_node *node;

	bpf_spin_lock(&item_lock);
	node = bpf_list_pop_front(&queue);
	if (node)
		bpf_list_push_back(&queue, node);
	bpf_spin_unlock(&item_lock);
	return 0;
}

static long pop_one(int round, void *context)
{
	struct bpf_list_node *node;

	bpf_spin_lock(&item_lock);
	node = bpf_list_pop_back(&queue);
	bpf_spin_unlock(&item_lock);
	if (!node)
		return 1;
	bpf_obj_drop(container_of(node, struct job, link));
	return 0;
}

SEC("tc")
int list_drain(struct __sk_buff *skb)
{
	bpf_loop(100, pop_one, NULL, 0);
	return 0;
}
