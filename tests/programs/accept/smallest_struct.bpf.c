// SPDX-License-Identifier: MIT OR Apache-2.0
// One byte; and a packed struct whose members are not aligned.
//
// program: smallest_struct
// verdict: accept
//
// program: packed_struct
// verdict: accept
#include "kptrsim.h"

struct smallest {
	char one;
};

struct packed_pair {
	char one;
	long eight;
} __packed;

struct holder {
	struct packed_pair total;
	struct packed_pair __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct holder);
} holders SEC(".maps");

SEC("tc")
int smallest_struct(struct __sk_buff *skb)
{
	struct smallest __percpu_kptr *p = bpf_percpu_obj_new(struct smallest);

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

SEC("tc")
int packed_struct(struct __sk_buff *skb)
{
	struct packed_pair __percpu_kptr *p;
	struct packed_pair *mine;
	struct holder *e;
	int key = 0;

	e = bpf_map_lookup_elem(&holders, &key);
	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	mine->one = 1;
	return mine->one;
}

char _license[] SEC("license") = "GPL";
