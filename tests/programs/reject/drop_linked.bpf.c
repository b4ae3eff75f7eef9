// SPDX-License-Identifier: MIT OR Apache-2.0
// The item is the tree's.
//
// program: drop_linked
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 23
#include "../graph.h"

SEC("tc")
int drop_linked(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job);

	if (!job)
		return 0;
	bpf_spin_lock(&job_lock);
	bpf_rbtree_add(&jobs, &job->node, job_less);
	bpf_spin_unlock(&job_lock);
	bpf_obj_drop(job); // REJECT
	return 0;
}
