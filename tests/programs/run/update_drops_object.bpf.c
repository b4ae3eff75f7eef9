// SPDX-License-Identifier: MIT OR Apache-2.0
// Writing the whole value sets its plain bytes, and drops the object that the element held: the field is empty after it.
//
// program: update_drops_object
// verdict: accept
//
// cpus: 1 2 4 64
// run: update_drops_object = 18
// map: slots[0].total.drops = 7
// leaks: 0
#include "../slot.h"

SEC("syscall")
int update_drops_object(void *ctx)
{
	struct slot value = {.total.hits = 5, .total.bytes = 6, .total.drops = 7};
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	int key = 0;

	if (!e)
		return -1;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	if (bpf_map_update_elem(&slots, &key, &value, BPF_ANY))
		return -3;
	p = bpf_kptr_xchg(&e->pc, NULL);
	if (p) {
		bpf_percpu_obj_drop(p);
		return -4;
	}
	return e->total.hits + e->total.bytes + e->total.drops;
}
