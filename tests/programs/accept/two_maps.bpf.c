// SPDX-License-Identifier: MIT OR Apache-2.0
// The object moves from one map to another without ever being copied.
//
// program: two_maps
// verdict: accept
#include "../slot.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct slot);
} archive SEC(".maps");

SEC("tc")
int two_maps(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *from = the_slot(), *to;
	int key = 3;

	to = bpf_map_lookup_elem(&archive, &key);
	if (!from || !to)
		return 0;
	p = bpf_kptr_xchg(&from->pc, NULL);
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&to->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
