// SPDX-License-Identifier: MIT OR Apache-2.0
// A timer's callback runs where nothing may sleep; a work queue's may.
//
// program: timer_callback_sleeps
// verdict: reject
// errno: EINVAL
// reason: helper call might sleep in a non-sleepable prog
// insn: 21
#include "kptrsim.h"

struct element {
	long rounds;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct element);
} elements SEC(".maps");

static int expire(void *map, int *key, struct element *e)
{
	long copy = 0;

	bpf_copy_from_user(&copy, sizeof(copy), (void *)e->rounds); // REJECT
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int timer_callback_sleeps(__u64 *ctx)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	bpf_timer_set_callback(&e->timer, expire);
	return 0;
}

char _license[] SEC("license") = "GPL";
