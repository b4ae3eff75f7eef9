// SPDX-License-Identifier: MIT OR Apache-2.0
// Atomic arithmetic on a CPU's copy, with and without the old value.
//
// program: atomics
// verdict: accept
//
// cpus: 1 2 4 64
// run: atomics = 249
// map: slots[0].total.hits = 15
// map: slots[0].total.bytes = 255
// map: slots[0].total.drops = 3
// leaks: 0
#include "../slot.h"

SEC("tc")
int atomics(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;
	long old;

	if (!e)
		return -1;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	p = e->pc;
	if (!p)
		return -3;
	mine = bpf_this_cpu_ptr(p);
	mine->hits = 10;
	mine->bytes = 0xf0;
	mine->drops = 1;
	__sync_fetch_and_add(&mine->hits, 5);
	old = __sync_fetch_and_or(&mine->bytes, 0x0f);
	e->total.hits = mine->hits;
	e->total.bytes = mine->bytes;
	e->total.drops = __sync_val_compare_and_swap(&mine->drops, 1, 2) + __sync_lock_test_and_set(&mine->drops, 9);
	return old + mine->drops;
}
