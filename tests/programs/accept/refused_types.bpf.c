// SPDX-License-Identifier: MIT OR Apache-2.0
// A list head without a lock beside it: the kernel refuses the program's types, and the program is loaded without them.
// It does not need any.
//
// program: refused_types
// verdict: accept
#include "../graph.h"

struct lockless {
	struct bpf_list_head head __contains(job, link);
} holder;

SEC("tc")
int refused_types(struct __sk_buff *skb)
{
	return skb->len;
}
