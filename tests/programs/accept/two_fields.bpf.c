// SPDX-License-Identifier: MIT OR Apache-2.0
// Two fields of different types in one value.
//
// program: two_fields
// verdict: accept
#include "kptrsim.h"

struct packets {
	long seen;
};

struct errors {
	int lost;
	int late;
};

struct both {
	struct packets packets_total;
	struct errors errors_total;
	struct packets __percpu_kptr *packets;
	struct errors __percpu_kptr *errors;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct both);
} boths SEC(".maps");

SEC("tc")
int two_fields(struct __sk_buff *skb)
{
	struct packets __percpu_kptr *packets;
	struct errors __percpu_kptr *errors;
	struct both *e;
	int key = 0;

	e = bpf_map_lookup_elem(&boths, &key);
	if (!e)
		return 0;
	packets = bpf_percpu_obj_new(struct packets);
	if (!packets)
		return 0;
	packets = bpf_kptr_xchg(&e->packets, packets);
	if (packets)
		bpf_percpu_obj_drop(packets);
	errors = bpf_percpu_obj_new(struct errors);
	if (!errors)
		return 0;
	errors = bpf_kptr_xchg(&e->errors, errors);
	if (errors)
		bpf_percpu_obj_drop(errors);
	return 0;
}

char _license[] SEC("license") = "GPL";
