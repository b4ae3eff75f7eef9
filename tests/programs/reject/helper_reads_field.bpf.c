// SPDX-License-Identifier: MIT OR Apache-2.0
// Copying the value into another element would give one object two owners.
//
// program: helper_reads_field
// verdict: reject
// errno: EACCES
// reason: kptr cannot be accessed indirectly by helper
// insn: 15
#include "../slot.h"

SEC("tc")
int helper_reads_field(struct __sk_buff *skb)
{
	struct slot *e = the_slot();
	int key = 0;

	if (!e)
		return 0;
	bpf_map_update_elem(&slots, &key, e, BPF_ANY); // REJECT
	return 0;
}
