// SPDX-License-Identifier: MIT OR Apache-2.0
// Writing the whole value from the stack is allowed: the map drops what its kptr fields held.
//
// program: update_whole_value
// verdict: accept
#include "../slot.h"

SEC("tc")
int update_whole_value(struct __sk_buff *skb)
{
	struct slot value = {.total.hits = skb->len};
	int key = 0;

	return bpf_map_update_elem(&slots, &key, &value, BPF_ANY);
}
