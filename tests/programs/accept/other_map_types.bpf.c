// SPDX-License-Identifier: MIT OR Apache-2.0
// The map types besides array and hash whose values may own objects and that any program can look up.
//
// program: publish_in_lru_hash
// verdict: accept
//
// program: publish_in_percpu_array
// verdict: accept
//
// program: publish_in_percpu_hash
// verdict: accept
#include "kptrsim.h"

struct counts {
	long hits;
};

struct element {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct element);
} lru SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct element);
} percpu_array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct element);
} percpu_hash SEC(".maps");

static __always_inline int publish(struct element *e)
{
	struct counts __percpu_kptr *p;

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

SEC("tc")
int publish_in_lru_hash(struct __sk_buff *skb)
{
	int key = 0;

	return publish(bpf_map_lookup_elem(&lru, &key));
}

SEC("tc")
int publish_in_percpu_array(struct __sk_buff *skb)
{
	int key = 0;

	return publish(bpf_map_lookup_elem(&percpu_array, &key));
}

SEC("tc")
int publish_in_percpu_hash(struct __sk_buff *skb)
{
	int key = 0;

	return publish(bpf_map_lookup_elem(&percpu_hash, &key));
}

char _license[] SEC("license") = "GPL";
