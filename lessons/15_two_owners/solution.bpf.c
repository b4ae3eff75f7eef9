// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 15. Two owners
 *
 * An object with a member of type struct bpf_refcount can have several owners: bpf_refcount_acquire(object) makes one more, and the
 * object goes when the last of them drops it. Here a job is to hang in a queue, in order of arrival, and in a tree, by
 * length, at the same time. Each of them wants an owner to take over.
 */
#include "kptrsim.h"

struct job {
	long length;
	struct bpf_list_node link;
	struct bpf_rb_node by_length;
	struct bpf_refcount owners;
};

private(jobs) struct bpf_spin_lock lock;
private(jobs) struct bpf_list_head queue __contains(job, link);
private(jobs) struct bpf_rb_root tree __contains(job, by_length);

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct job, by_length)->length < container_of(b, struct job, by_length)->length;
}

/* Puts a job for this packet in the queue and in the tree. */
SEC("tc")
int submit(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job), *second;

	if (!job)
		return 0;
	job->length = skb->len;
	second = bpf_refcount_acquire(job);
	bpf_spin_lock(&lock);
	bpf_list_push_back(&queue, &job->link);
	bpf_rbtree_add(&tree, &second->by_length, less);
	bpf_spin_unlock(&lock);
	return 1;
}

/* Takes the job that came first out of the queue. Returns its length, or 0. */
SEC("tc")
int oldest(struct __sk_buff *skb)
{
	struct bpf_list_node *node;
	struct job *job;
	int length;

	bpf_spin_lock(&lock);
	node = bpf_list_pop_front(&queue);
	bpf_spin_unlock(&lock);
	if (!node)
		return 0;
	job = container_of(node, struct job, link);
	length = job->length;
	bpf_obj_drop(job);
	return length;
}

/* Takes the shortest job out of the tree. Returns its length, or 0. */
SEC("tc")
int shortest(struct __sk_buff *skb)
{
	struct bpf_rb_node *node;
	struct job *job;
	int length;

	bpf_spin_lock(&lock);
	node = bpf_rbtree_first(&tree);
	if (node)
		node = bpf_rbtree_remove(&tree, node);
	bpf_spin_unlock(&lock);
	if (!node)
		return 0;
	job = container_of(node, struct job, by_length);
	length = job->length;
	bpf_obj_drop(job);
	return length;
}

char _license[] SEC("license") = "GPL";
