// SPDX-License-Identifier: MIT OR Apache-2.0
// An iterator is a call, too.
//
// program: loop_under_lock
// verdict: reject
// errno: EINVAL
// reason: function calls are not allowed while holding a lock
// insn: 8
#include "../graph.h"

SEC("tc")
int loop_under_lock(struct __sk_buff *skb)
{
	int i;

	bpf_spin_lock(&item_lock);
	bpf_for(i, 0, 10) // REJECT
		bpf_rbtree_first(&items);
	bpf_spin_unlock(&item_lock);
	return 0;
}
