// SPDX-License-Identifier: MIT OR Apache-2.0
// A tail call is fine once everything is settled.
//
// program: tail_call_owing_nothing
// verdict: accept
#include "../slot.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} programs SEC(".maps");

SEC("tc")
int tail_call_owing_nothing(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	bpf_tail_call(skb, &programs, 0);
	return 0;
}
