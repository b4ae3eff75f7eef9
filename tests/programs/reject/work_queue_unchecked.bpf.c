// SPDX-License-Identifier: MIT OR Apache-2.0
// A work queue lies in a map's value, not in what may be NULL.
//
// program: work_queue_unchecked
// verdict: reject
// errno: EINVAL
// reason: arg#0 doesn't point to a map value
// insn: 15
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

SEC("tc")
int work_queue_unchecked(struct __sk_buff *skb)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return 0;
	e = bpf_map_lookup_elem(&elements, &key);
	bpf_wq_start((void *)e, 0); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
