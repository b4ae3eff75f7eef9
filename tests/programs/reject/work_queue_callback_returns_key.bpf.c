// SPDX-License-Identifier: MIT OR Apache-2.0
// What a work queue's callback returns must be 0, and a key may be anything.
//
// program: work_queue_callback_returns_key
// verdict: reject
// errno: EINVAL
// reason: At async callback return the register R0 has smin=0 smax=4294967295 should have been in [0, 0]
// insn: 18
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
	return *key; // REJECT
}

SEC("tc")
int work_queue_callback_returns_key(struct __sk_buff *skb)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	bpf_wq_set_callback(&e->queue, expire, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
