// SPDX-License-Identifier: MIT OR Apache-2.0
// A lock and an object in one value. Under the lock the field can be loaded, and a spin lock counts as an RCU section.
//
// program: under_spin_lock
// verdict: accept
#include "kptrsim.h"

struct counts {
	long hits;
};

struct locked_slot {
	struct bpf_spin_lock lock;
	struct counts total;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked_slot);
} locked_slots SEC(".maps");

SEC("tc")
int under_spin_lock(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct locked_slot *e;
	struct counts *mine;
	int key = 0;

	e = bpf_map_lookup_elem(&locked_slots, &key);
	if (!e)
		return 0;
	bpf_spin_lock(&e->lock);
	p = e->pc;
	e->total.hits++;
	bpf_spin_unlock(&e->lock);
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	mine->hits++;
	return 0;
}

char _license[] SEC("license") = "GPL";
