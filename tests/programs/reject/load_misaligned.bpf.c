// SPDX-License-Identifier: MIT OR Apache-2.0
// A load that straddles the field's upper half and what follows it.
//
// program: load_misaligned
// verdict: reject
// errno: EACCES
// reason: kptr access misaligned expected=8 off=12
// insn: 8
#include "kptrsim.h"

struct counts {
	long hits;
};

struct wide {
	struct counts total;
	struct counts __percpu_kptr *pc;
	long after;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct wide);
} wides SEC(".maps");

SEC("tc")
int load_misaligned(struct __sk_buff *skb)
{
	int key = 0;
	struct wide *e = bpf_map_lookup_elem(&wides, &key);

	if (!e)
		return 0;
	return *(volatile long *)((char *)&e->pc + 4); // REJECT
}

char _license[] SEC("license") = "GPL";
