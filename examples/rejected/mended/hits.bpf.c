// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Counts packets without any two CPUs ever writing to the same memory: each has its own copy of the counter.
 *
 * `start` makes the counter; `hit` counts.
 */
#include "kptrsim.h"

struct hits {
	long packets;
};

struct slot {
	struct hits unused;
	struct hits __percpu_kptr *hits;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tc")
int start(struct __sk_buff *skb)
{
	struct hits __percpu_kptr *hits;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return TC_ACT_OK;
	hits = bpf_percpu_obj_new(struct hits);
	if (!hits)
		return TC_ACT_OK;
	hits = bpf_kptr_xchg(&slot->hits, hits);
	if (hits)
		bpf_percpu_obj_drop(hits);
	return TC_ACT_OK;
}

SEC("tc")
int hit(struct __sk_buff *skb)
{
	struct hits __percpu_kptr *hits;
	struct hits *mine;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return TC_ACT_OK;
	hits = slot->hits;
	if (!hits)
		return TC_ACT_OK;
	mine = bpf_this_cpu_ptr(hits);
	mine->packets++;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
