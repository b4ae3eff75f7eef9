// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing that is not known to be safe may be called while a spin lock is held.
//
// program: allocate_under_lock
// verdict: reject
// errno: EINVAL
// reason: function calls are not allowed while holding a lock
// insn: 14
#include "kptrsim.h"

struct counts {
	long hits;
};

struct locked_slot {
	struct bpf_spin_lock lock;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct locked_slot);
} locked_slots SEC(".maps");

SEC("tc")
int allocate_under_lock(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct locked_slot *e;
	int key = 0;

	e = bpf_map_lookup_elem(&locked_slots, &key);
	if (!e)
		return 0;
	bpf_spin_lock(&e->lock);
	p = bpf_percpu_obj_new(struct counts); // REJECT
	bpf_spin_unlock(&e->lock);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

char _license[] SEC("license") = "GPL";
