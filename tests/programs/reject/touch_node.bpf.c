// SPDX-License-Identifier: MIT OR Apache-2.0
// Nodes are the kernel's.
//
// program: touch_node
// verdict: reject
// errno: EACCES
// reason: direct access to bpf_rb_node is disallowed
// insn: 6
#include "../graph.h"

SEC("tc")
int touch_node(struct __sk_buff *skb)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	*(long *)&item->node = 0; // REJECT
	return 0;
}
