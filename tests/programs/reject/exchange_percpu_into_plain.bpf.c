// SPDX-License-Identifier: MIT OR Apache-2.0
// A per-CPU object, put where plain objects live: the reader would follow an address that no CPU's copy has.
//
// program: exchange_percpu_into_plain
// verdict: reject
// errno: EACCES
// reason: invalid kptr access, R2 type=percpu_ptr_ expected=ptr_counts
// insn: 16
#include "kptrsim.h"

struct counts {
	long hits;
};

struct plain_slot {
	struct counts __kptr *one;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct plain_slot);
} plain_slots SEC(".maps");

SEC("tc")
int exchange_percpu_into_plain(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct plain_slot *e;
	struct counts *old;
	int key = 0;

	e = bpf_map_lookup_elem(&plain_slots, &key);
	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	old = bpf_kptr_xchg(&e->one, p); // REJECT
	if (old)
		bpf_obj_drop(old);
	return 0;
}

char _license[] SEC("license") = "GPL";
