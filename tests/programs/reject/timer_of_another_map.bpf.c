// SPDX-License-Identifier: MIT OR Apache-2.0
// A timer is set up with the map that it lies in.
//
// program: timer_of_another_map
// verdict: reject
// errno: EINVAL
// reason: timer pointer in R1 map_uid=0 doesn't match map pointer in R2 map_uid=0
// insn: 13
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct element);
} others SEC(".maps");

SEC("tc")
int timer_of_another_map(struct __sk_buff *skb)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	bpf_timer_init(&e->timer, &others, 0); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
