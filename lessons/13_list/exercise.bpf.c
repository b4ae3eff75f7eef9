// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 13. A list, and its lock
 *
 * Objects can be linked into a list. The object has a member of type struct bpf_list_node, the list is a struct
 * bpf_list_head, whose __contains() says of what type its elements are and by which member they hang in it. Pushing an
 * object hands it over to the list, as an exchange hands it to a map; popping gives it back, to be dropped.
 *
 * A list belongs to the struct bpf_spin_lock that stands beside it (private(jobs) puts both in one place), and the
 * verifier lets nobody touch the list who does not hold the lock. While it is held, hardly any other function may be called,
 * so allocate before and drop afterwards.
 *
 * TODO: both programs forgot the lock.
 */
#include "kptrsim.h"

struct job {
	long length;
	struct bpf_list_node link;
};

private(jobs) struct bpf_spin_lock lock;
private(jobs) struct bpf_list_head queue __contains(job, link);

/* Puts a job for this packet at the end of the queue. */
SEC("tc")
int submit(struct __sk_buff *skb)
{
	struct job *job = bpf_obj_new(struct job);

	if (!job)
		return 0;
	job->length = skb->len;
	bpf_list_push_back(&queue, &job->link);
	return 1;
}

/* Takes the first job. Returns its length, or 0. */
SEC("tc")
int work(struct __sk_buff *skb)
{
	struct bpf_list_node *node;
	struct job *job;
	int length;

	node = bpf_list_pop_front(&queue);
	if (!node)
		return 0;
	job = container_of(node, struct job, link);
	length = job->length;
	bpf_obj_drop(job);
	return length;
}

char _license[] SEC("license") = "GPL";
