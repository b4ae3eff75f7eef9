// SPDX-License-Identifier: MIT OR Apache-2.0
// All elements of a hash map, each with its own object.
//
// program: each_element
// verdict: accept
#include "kptrsim.h"

struct counts {
	long hits;
};

struct flow {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct flow);
} flows SEC(".maps");

static long sum_one(struct bpf_map *map, const void *key, void *value, void *context)
{
	struct counts __percpu_kptr *p;
	struct flow *e = value;
	struct counts *there;

	p = e->pc;
	if (!p)
		return 0;
	there = bpf_per_cpu_ptr(p, 0);
	if (there)
		e->total.hits = there->hits;
	return 0;
}

SEC("tc")
int each_element(struct __sk_buff *skb)
{
	bpf_for_each_map_elem(&flows, sum_one, NULL, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
