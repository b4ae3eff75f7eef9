// SPDX-License-Identifier: MIT OR Apache-2.0
// A work queue's callback runs later, and may sleep, although the program may not.
//
// program: work_queue_sleeps
// verdict: accept
#include "kptrsim.h"

struct element {
	long rounds;
	struct bpf_wq queue;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct element);
} elements SEC(".maps");

static int expire(void *map, int *key, void *value)
{
	struct element *e = value;
	long copy = 0;

	bpf_copy_from_user(&copy, sizeof(copy), (void *)e->rounds);
	e->rounds = copy;
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int work_queue_sleeps(__u64 *ctx)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	if (bpf_wq_init(&e->queue, &elements, 0))
		return 0;
	bpf_wq_set_callback(&e->queue, expire, 0);
	bpf_wq_start(&e->queue, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
