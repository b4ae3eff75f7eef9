/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the test programs about lists and trees start from: jobs, which a list and a tree can hold at once because they
 * are counted, and items, which only one tree can hold; each kind under a lock of its own.
 */
#ifndef GRAPH_H
#define GRAPH_H

#include "kptrsim.h"

struct item {
	long key;
	struct bpf_rb_node node;
	struct bpf_rb_node spare;
};

struct job {
	long key;
	struct bpf_rb_node node;
	struct bpf_list_node link;
	struct bpf_refcount uses;
};

private(items) struct bpf_spin_lock item_lock;
private(items) struct bpf_rb_root items __contains(item, node);
private(items) struct bpf_list_head queue __contains(job, link);

private(jobs) struct bpf_spin_lock job_lock;
private(jobs) struct bpf_rb_root jobs __contains(job, node);
private(jobs) struct bpf_list_head waiting __contains(job, link);

/* A struct that only a `contains:` tag names is not in BTF at all, and its root then makes no sense to the kernel. */
private(kinds) struct item item_kind;
private(kinds) struct job job_kind;

static __unused bool item_less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

static __unused bool job_less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct job, node)->key < container_of(b, struct job, node)->key;
}

char _license[] SEC("license") = "GPL";

#endif
