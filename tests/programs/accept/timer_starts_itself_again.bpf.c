// SPDX-License-Identifier: MIT OR Apache-2.0
// A timer is armed, and its callback, which runs later on a stack of its own, arms it again.
//
// program: timer_starts_itself_again
// verdict: accept
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
	e->rounds++;
	bpf_timer_set_callback(&e->timer, expire);
	bpf_timer_start(&e->timer, 1000, 0);
	return 0;
}

SEC("tc")
int timer_starts_itself_again(struct __sk_buff *skb)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	bpf_timer_init(&e->timer, &elements, 0);
	bpf_timer_set_callback(&e->timer, expire);
	bpf_timer_start(&e->timer, 1000, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
