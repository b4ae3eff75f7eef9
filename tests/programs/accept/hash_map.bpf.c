// SPDX-License-Identifier: MIT OR Apache-2.0
// In a hash map's element: looked up, created when missing, filled.
//
// program: hash_map
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

SEC("tc")
int hash_map(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p, *old;
	struct flow empty = {};
	struct counts *mine;
	u32 key = skb->hash;
	struct flow *e;

	e = bpf_map_lookup_elem(&flows, &key);
	if (!e) {
		bpf_map_update_elem(&flows, &key, &empty, BPF_NOEXIST);
		e = bpf_map_lookup_elem(&flows, &key);
		if (!e)
			return 0;
	}
	p = e->pc;
	if (!p) {
		p = bpf_percpu_obj_new(struct counts);
		if (!p)
			return 0;
		old = bpf_kptr_xchg(&e->pc, p);
		if (old)
			bpf_percpu_obj_drop(old);
	}
	mine = bpf_this_cpu_ptr(p);
	mine->hits++;
	return 0;
}

char _license[] SEC("license") = "GPL";
