// SPDX-License-Identifier: MIT OR Apache-2.0
// An object moves from one map to another with all its copies: its contents, and not just its address, arrive.
//
// program: fill
// verdict: accept
//
// program: move
// verdict: accept
//
// program: read_archive
// verdict: accept
//
// program: read_slot
// verdict: accept
//
// cpus: 1 2 4 64
// run: fill = 0
// run: read_archive = -2
// run: read_slot = 1
// run: move = 1
// run: read_archive = 1234
// run: read_slot = 0
// run: move = 0
// map: archive[3].total.bytes = 1234
// leaks: 0
#include "../slot.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct slot);
} archive SEC(".maps");

SEC("syscall")
int fill(void *ctx)
{
	struct counts __percpu_kptr *p, *old;
	struct slot empty = {}, *e = the_slot();
	struct counts *there;
	int key = 3;

	if (!e)
		return -1;
	bpf_map_update_elem(&archive, &key, &empty, BPF_ANY);
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return -2;
	bpf_rcu_read_lock();
	old = bpf_kptr_xchg(&e->pc, p);
	if (old)
		bpf_percpu_obj_drop(old);
	there = bpf_per_cpu_ptr(p, 0);
	if (there)
		there->bytes = 1234;
	bpf_rcu_read_unlock();
	return 0;
}

SEC("syscall")
int move(void *ctx)
{
	struct slot *from = the_slot(), *to;
	struct counts __percpu_kptr *p;
	int key = 3;

	to = bpf_map_lookup_elem(&archive, &key);
	if (!from || !to)
		return -1;
	p = bpf_kptr_xchg(&from->pc, NULL);
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&to->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	return 1;
}

SEC("tc")
int read_archive(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct counts *there;
	struct slot *e;
	int key = 3;

	e = bpf_map_lookup_elem(&archive, &key);
	if (!e)
		return -1;
	p = e->pc;
	if (!p)
		return -2;
	there = bpf_per_cpu_ptr(p, 0);
	if (!there)
		return -3;
	e->total.bytes = there->bytes;
	return there->bytes;
}

SEC("tc")
int read_slot(struct __sk_buff *skb)
{
	struct slot *e = the_slot();

	return e && e->pc;
}
