// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that fills the whole value would overwrite the pointer in it.
//
// program: helper_writes_field
// verdict: reject
// errno: EACCES
// reason: kptr cannot be accessed indirectly by helper
// insn: 11
#include "../slot.h"

SEC("tc")
int helper_writes_field(struct __sk_buff *skb)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	bpf_probe_read_kernel(e, sizeof(*e), (void *)8); // REJECT
	return 0;
}
