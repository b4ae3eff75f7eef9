// SPDX-License-Identifier: MIT OR Apache-2.0
// From a borrowed pointer the count may fail.
//
// program: count_unchecked
// verdict: reject
// errno: EACCES
// reason: Possibly NULL pointer passed to trusted arg0
// insn: 27
#include "../graph.h"

SEC("tc")
int count_unchecked(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job);
	struct job *second;

	if (!job)
		return 0;
	bpf_spin_lock(&job_lock);
	bpf_rbtree_add(&jobs, &job->node, job_less);
	second = bpf_refcount_acquire(job);
	bpf_spin_unlock(&job_lock);
	bpf_obj_drop(second); // REJECT
	return 0;
}
