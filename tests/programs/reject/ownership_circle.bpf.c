// SPDX-License-Identifier: MIT OR Apache-2.0
// A struct that owns a list of its own kind: the kernel refuses the program's types, without which nothing can be allocated.
//
// program: ownership_circle
// verdict: reject
// errno: EINVAL
// reason: bpf_obj_new/bpf_percpu_obj_new requires prog BTF
// insn: 3
#include "../graph.h"

struct circle {
	struct bpf_list_node link;
	struct bpf_spin_lock lock;
	struct bpf_list_head more __contains(circle, link);
};

SEC("tc")
int ownership_circle(struct __sk_buff *skb)
{
	struct circle *circle = bpf_obj_new(struct circle); // REJECT

	if (circle)
		bpf_obj_drop(circle);
	return 0;
}
