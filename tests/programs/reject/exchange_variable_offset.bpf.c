// SPDX-License-Identifier: MIT OR Apache-2.0
// Which of two fields is exchanged has to be known when the program is loaded.
//
// program: exchange_variable_offset
// verdict: reject
// errno: EINVAL
// reason: R1 doesn't have constant offset. kptr has to be at the constant offset
// insn: 13
#include "kptrsim.h"

struct counts {
	long hits;
};

struct pair {
	struct counts total;
	struct counts __percpu_kptr *left;
	struct counts __percpu_kptr *right;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct pair);
} pairs SEC(".maps");

SEC("tc")
int exchange_variable_offset(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *old;
	unsigned int at = skb->len & 8;
	struct pair *e;
	int key = 0;

	e = bpf_map_lookup_elem(&pairs, &key);
	if (!e)
		return 0;
	old = bpf_kptr_xchg((char *)e + at, NULL); // REJECT
	if (old)
		bpf_percpu_obj_drop(old);
	return 0;
}

char _license[] SEC("license") = "GPL";
