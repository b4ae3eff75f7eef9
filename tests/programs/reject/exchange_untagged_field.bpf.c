// SPDX-License-Identifier: MIT OR Apache-2.0
// The field is not tagged as owning, so the map does not know that it holds an object.
//
// program: exchange_untagged_field
// verdict: reject
// errno: EINVAL
// reason: R1 has no valid kptr
// insn: 10
#include "kptrsim.h"

struct counts {
	long hits;
};

struct untagged {
	struct counts *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct untagged);
} untaggeds SEC(".maps");

SEC("tc")
int exchange_untagged_field(struct __sk_buff *skb)
{
	struct untagged *e;
	int key = 0;

	e = bpf_map_lookup_elem(&untaggeds, &key);
	if (!e)
		return 0;
	bpf_kptr_xchg(&e->pc, NULL); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
