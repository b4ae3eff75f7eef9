// SPDX-License-Identifier: MIT OR Apache-2.0
// A per-CPU map whose every copy owns an object of its own: what one CPU publishes, another one does not see.
//
// program: put
// verdict: accept
//
// program: has
// verdict: accept
//
// cpus: 2 4 64
// run: put@0 = 0
// run: put@0 = 1
// run: has@0 = 1
// run: has@1 = 0
// run: put@1 = 0
// run: has@1 = 1
// map: elements[0]@0.total.hits = 2
// map: elements[0]@1.total.hits = 1
// leaks: 0
#include "kptrsim.h"

struct counts {
	long hits;
};

struct element {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct element);
} elements SEC(".maps");

SEC("tc")
int put(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return -1;
	e->total.hits++;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	p = bpf_kptr_xchg(&e->pc, p);
	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	return 1;
}

SEC("tc")
int has(struct __sk_buff *skb)
{
	struct element *e;
	int key = 0;

	e = bpf_map_lookup_elem(&elements, &key);
	if (!e)
		return -1;
	return e->pc != NULL;
}

char _license[] SEC("license") = "GPL";
