// SPDX-License-Identifier: MIT OR Apache-2.0
// Deleting a hash map's element drops the object in it; an element made anew under the same key starts empty.
//
// program: delete_frees_object
// verdict: accept
//
// cpus: 1 2 4 64
// run: delete_frees_object = 2
// leaks: 0
#include "../slot.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct slot);
} table SEC(".maps");

SEC("syscall")
int delete_frees_object(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot empty = {}, *e;
	int key = 1;

	if (bpf_map_update_elem(&table, &key, &empty, BPF_NOEXIST))
		return -1;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	e = bpf_map_lookup_elem(&table, &key);
	if (!e) {
		bpf_percpu_obj_drop(p);
		return -3;
	}
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	if (bpf_map_delete_elem(&table, &key))
		return -4;
	if (bpf_map_lookup_elem(&table, &key))
		return -5;
	if (bpf_map_update_elem(&table, &key, &empty, BPF_NOEXIST))
		return -6;
	e = bpf_map_lookup_elem(&table, &key);
	if (!e)
		return -7;
	p = bpf_kptr_xchg(&e->pc, NULL);
	if (p) {
		bpf_percpu_obj_drop(p);
		return 1;
	}
	return 2;
}
