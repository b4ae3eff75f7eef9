// SPDX-License-Identifier: MIT OR Apache-2.0
// Who allocates has to publish or drop.
//
// program: leak_at_exit
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=3
// insn: 8
#include "../slot.h"

SEC("tc")
int leak_at_exit(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	return p != NULL; // REJECT
}
