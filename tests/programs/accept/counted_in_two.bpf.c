// SPDX-License-Identifier: MIT OR Apache-2.0
// A counted object in a tree and in a list at once. From an owned pointer the count always succeeds, from a borrowed one
// it may not.
//
// program: counted_in_two
// verdict: accept
#include "../graph.h"

SEC("tc")
int counted_in_two(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job), *second, *third;

	if (!job)
		return 0;
	second = bpf_refcount_acquire(job);
	bpf_spin_lock(&job_lock);
	bpf_rbtree_add(&jobs, &job->node, job_less);
	bpf_list_push_back(&waiting, &second->link);
	second->key = 1;
	third = bpf_refcount_acquire(job);
	bpf_spin_unlock(&job_lock);
	if (third)
		bpf_obj_drop(third);
	return 0;
}
