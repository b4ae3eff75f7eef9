// SPDX-License-Identifier: MIT OR Apache-2.0
// Two CPUs add a node each to a tree under a lock; a third takes the least of those that are there.
#include "kptrsim.h"

struct node {
	struct bpf_rb_node link;
	int value;
};

private(tree) struct bpf_spin_lock lock;
private(tree) struct bpf_rb_root root __contains(node, link);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct node, link)->value < container_of(b, struct node, link)->value;
}

static int add(int value)
{
	struct node *node = bpf_obj_new(__typeof__(*node));

	if (!node)
		return -ENOMEM;
	node->value = value;
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&root, &node->link, less);
	bpf_spin_unlock(&lock);
	return 0;
}

SEC("tc")
int add_one(struct __sk_buff *skb)
{
	return add(1);
}

SEC("tc")
int add_two(struct __sk_buff *skb)
{
	return add(2);
}

SEC("tc")
int take(struct __sk_buff *skb)
{
	struct bpf_rb_node *first;
	struct node *node;
	int value;

	bpf_spin_lock(&lock);
	first = bpf_rbtree_first(&root);
	if (!first) {
		bpf_spin_unlock(&lock);
		return 0;
	}
	first = bpf_rbtree_remove(&root, first);
	bpf_spin_unlock(&lock);
	if (!first)
		return -ENOENT;
	node = container_of(first, struct node, link);
	value = node->value;
	bpf_obj_drop(node);
	return value;
}

char _license[] SEC("license") = "Dual MIT/GPL";
