// SPDX-License-Identifier: MIT OR Apache-2.0
// Only the field's pointer mentions the struct, so that clang writes a forward declaration into BTF. The kernel looks for
// a struct, finds none, and takes the map as one without kptrs: the tag is there and has no effect.
//
// program: exchange_incomplete_type
// verdict: reject
// errno: EINVAL
// reason: R1 has no valid kptr
// insn: 10
#include "kptrsim.h"

struct counts {
	long hits;
};

struct tagged {
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct tagged);
} taggeds SEC(".maps");

SEC("tc")
int exchange_incomplete_type(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	struct tagged *e;
	int key = 0;

	e = bpf_map_lookup_elem(&taggeds, &key);
	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->pc, NULL); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}

char _license[] SEC("license") = "GPL";
