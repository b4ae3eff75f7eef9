// SPDX-License-Identifier: MIT OR Apache-2.0
// A tail call never comes back, so nothing may be owed when it is made.
//
// program: leak_by_tail_call
// verdict: reject
// errno: EINVAL
// reason: tail_call would lead to reference leak
// insn: 11
#include "../slot.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} programs SEC(".maps");

SEC("tc")
int leak_by_tail_call(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_tail_call(skb, &programs, 0); // REJECT
	bpf_percpu_obj_drop(p);
	return 0;
}
