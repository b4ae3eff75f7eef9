// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Files a job: into the list of all jobs, and, if it is urgent, into the list of urgent ones as well. Two lists own it then: each has a
 * node of its own and a reference of its own.
 */
#include "kptrsim.h"

struct job {
	struct bpf_refcount references;
	struct bpf_list_node in_list;
	struct bpf_list_node in_urgent;
	__u32 mark;
};

private(jobs) struct bpf_spin_lock lock;
private(jobs) struct bpf_list_head all __contains(job, in_list);
private(jobs) struct bpf_list_head urgent __contains(job, in_urgent);

SEC("tc")
int file_job(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job), *again;

	if (!job)
		return TC_ACT_OK;
	job->mark = skb->mark;
	again = bpf_refcount_acquire(job);
	bpf_spin_lock(&lock);
	bpf_list_push_back(&all, &job->in_list);
	if (skb->priority > 5) {
		bpf_list_push_back(&urgent, &again->in_urgent);
		bpf_spin_unlock(&lock);
		return TC_ACT_OK;
	}
	bpf_spin_unlock(&lock);
	bpf_obj_drop(again);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
