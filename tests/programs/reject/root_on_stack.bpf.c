// SPDX-License-Identifier: MIT OR Apache-2.0
// A list head of the program's own making.
//
// program: root_on_stack
// verdict: reject
// errno: EINVAL
// reason: arg#0 expected pointer to map value or allocated object
// insn: 5
#include "../graph.h"

SEC("tc")
int root_on_stack(struct __sk_buff *skb)
{
	struct bpf_list_head head = {};

	bpf_list_pop_front(&head); // REJECT
	return 0;
}
