// SPDX-License-Identifier: MIT OR Apache-2.0
// One CPU puts two nodes on a list under a lock; two others take one each, if there is one: none is taken twice, and order is kept.
#include "kptrsim.h"

struct node {
	struct bpf_list_node link;
	int value;
};

private(queue) struct bpf_spin_lock lock;
private(queue) struct bpf_list_head head __contains(node, link);

static int put(int value)
{
	struct node *node = bpf_obj_new(__typeof__(*node));

	if (!node)
		return -ENOMEM;
	node->value = value;
	bpf_spin_lock(&lock);
	bpf_list_push_back(&head, &node->link);
	bpf_spin_unlock(&lock);
	return 0;
}

SEC("tc")
int give(struct __sk_buff *skb)
{
	int error = put(1);

	return error ? error : put(2);
}

SEC("tc")
int take(struct __sk_buff *skb)
{
	struct bpf_list_node *first;
	struct node *node;
	int value;

	bpf_spin_lock(&lock);
	first = bpf_list_pop_front(&head);
	bpf_spin_unlock(&lock);
	if (!first)
		return 0;
	node = container_of(first, struct node, link);
	value = node->value;
	bpf_obj_drop(node);
	return value;
}

char _license[] SEC("license") = "Dual MIT/GPL";
