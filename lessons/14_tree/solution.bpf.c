// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 14. A look at a tree
 *
 * A struct bpf_rb_root is a sorted tree. It takes objects as a list does, and the less() function says which of two comes first.
 * bpf_rbtree_first() only looks: the object stays in the tree, which goes on owning it. Such a pointer is called a
 * non-owning reference, and is good as long as the lock is held, for without the lock any other CPU may take the object out
 * and drop it.
 */
#include "kptrsim.h"

struct job {
	long length;
	struct bpf_rb_node by_length;
};

private(jobs) struct bpf_spin_lock lock;
private(jobs) struct bpf_rb_root tree __contains(job, by_length);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct job, by_length)->length < container_of(b, struct job, by_length)->length;
}

/* Puts a job for this packet in the tree. */
SEC("tc")
int submit(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job);

	if (!job)
		return 0;
	job->length = skb->len;
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&tree, &job->by_length, less);
	bpf_spin_unlock(&lock);
	return 1;
}

/* Returns the length of the shortest job, or 0. The job stays where it is. */
SEC("tc")
int shortest(struct __sk_buff *skb)
{
	struct bpf_rb_node *first;
	int length = 0;

	bpf_spin_lock(&lock);
	first = bpf_rbtree_first(&tree);
	if (first)
		length = container_of(first, struct job, by_length)->length;
	bpf_spin_unlock(&lock);
	return length;
}

char _license[] SEC("license") = "GPL";
