// SPDX-License-Identifier: MIT OR Apache-2.0
// Members of every width, written and read back: what one access leaves, a narrower or wider one finds.
//
// program: all_widths
// verdict: accept
//
// cpus: 1 2 4 64
// run: all_widths = 65530
// map: holders[0].total.one = -1
// map: holders[0].total.two = 65534
// map: holders[0].total.four = -4
// map: holders[0].total.eight = 0x1122334455667788
// map: holders[0].total.text[0] = 100
// map: holders[0].total.text[3] = 97
// leaks: 0
#include "kptrsim.h"

struct widths {
	s8 one;
	u16 two;
	s32 four;
	u64 eight;
	u8 text[8];
};

struct holder {
	struct widths total;
	struct widths __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct holder);
} holders SEC(".maps");

SEC("tc")
int all_widths(struct __sk_buff *skb)
{
	struct widths __percpu_kptr *p;
	struct widths *mine;
	struct holder *e;
	int key = 0;

	e = bpf_map_lookup_elem(&holders, &key);
	if (!e)
		return -1;
	p = bpf_percpu_obj_new(struct widths);
	if (!p)
		return -2;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	p = e->pc;
	if (!p)
		return -3;
	mine = bpf_this_cpu_ptr(p);
	mine->one = -1;
	mine->two = 0xfffe;
	mine->four = -3;
	mine->eight = 0x1122334455667788;
	mine->text[0] = 'a';
	mine->text[1] = 'b';
	mine->text[2] = 'c';
	mine->text[3] = 'd';
	barrier();
	e->total.one = mine->one;
	e->total.two = mine->two;
	e->total.four = mine->four + mine->one;
	e->total.eight = mine->eight;
	e->total.text[0] = mine->text[3];
	e->total.text[1] = mine->text[2];
	e->total.text[2] = mine->text[1];
	e->total.text[3] = mine->text[0];
	return mine->one + mine->two + mine->four;
}

char _license[] SEC("license") = "GPL";
