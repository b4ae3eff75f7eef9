// SPDX-License-Identifier: MIT OR Apache-2.0
// A list inside an object, under the object's own lock; with the object goes what is in the list.
//
// program: list_in_object
// verdict: accept
#include "../graph.h"

struct box {
	struct bpf_spin_lock lock;
	struct bpf_list_head content __contains(job, link);
};

SEC("tc")
int list_in_object(struct __sk_buff *skb)
{
	struct box *box = bpf_obj_new(struct box);
	struct job *job;

	if (!box)
		return 0;
	job = bpf_obj_new(struct job);
	if (job) {
		bpf_spin_lock(&box->lock);
		bpf_list_push_front(&box->content, &job->link);
		bpf_spin_unlock(&box->lock);
	}
	bpf_obj_drop(box);
	return 0;
}
