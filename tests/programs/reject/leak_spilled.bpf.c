// SPDX-License-Identifier: MIT OR Apache-2.0
// The only copy of the pointer is on the stack when the program ends.
//
// program: leak_spilled
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=3
// insn: 9
#include "../slot.h"

SEC("tc")
int leak_spilled(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *volatile kept = bpf_percpu_obj_new(struct counts);

	if (!kept)
		return 0;
	bpf_ktime_get_ns();
	return 0;
} // REJECT
