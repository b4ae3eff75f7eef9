// SPDX-License-Identifier: MIT OR Apache-2.0
// Four bytes into the timer there is no timer.
//
// program: timer_beside_field
// verdict: reject
// errno: EINVAL
// reason: off 12 doesn't point to 'struct bpf_timer' that is at 8
// insn: 10
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

SEC("tc")
int timer_beside_field(struct __sk_buff *skb)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	bpf_timer_cancel((void *)&e->timer + 4); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
