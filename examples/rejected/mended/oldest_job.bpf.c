// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Returns the mark of the oldest job in a tree of jobs, which stays in the tree.
 *
 * `add` puts jobs in.
 */
#include "kptrsim.h"

struct job {
	struct bpf_rb_node in_tree;
	__u64 since;
	__u32 mark;
};

private(jobs) struct bpf_spin_lock lock;
private(jobs) struct bpf_rb_root jobs __contains(job, in_tree);

static bool is_older(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct job, in_tree)->since < container_of(b, struct job, in_tree)->since;
}

SEC("tc")
int add(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job);

	if (!job)
		return 0;
	job->since = bpf_ktime_get_ns();
	job->mark = skb->mark;
	bpf_spin_lock(&lock);
	bpf_rbtree_add(&jobs, &job->in_tree, is_older);
	bpf_spin_unlock(&lock);
	return 0;
}

SEC("tc")
int oldest(struct __sk_buff *skb)
{
	struct bpf_rb_node *node;
	__u32 mark = 0;

	bpf_spin_lock(&lock);
	node = bpf_rbtree_first(&jobs);
	if (node)
		mark = container_of(node, struct job, in_tree)->mark;
	bpf_spin_unlock(&lock);
	return mark;
}

char _license[] SEC("license") = "GPL";
