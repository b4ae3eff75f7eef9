// SPDX-License-Identifier: MIT OR Apache-2.0
// What a timer's callback returns means nothing yet, and must be 0.
//
// program: timer_callback_returns_one
// verdict: reject
// errno: EINVAL
// reason: At async callback return the register R0 has smin=1 smax=1 should have been in [0, 0]
// insn: 19
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
	return 1; // REJECT
}

SEC("tc")
int timer_callback_returns_one(struct __sk_buff *skb)
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
