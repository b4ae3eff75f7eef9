// SPDX-License-Identifier: MIT OR Apache-2.0
// A pointer that is known to be NULL owns nothing.
//
// program: drop_null
// verdict: reject
// errno: EACCES
// reason: Possibly NULL pointer passed to trusted arg0
// insn: 10
#include "../slot.h"

SEC("tc")
int drop_null(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (p)
		bpf_percpu_obj_drop(p);
	bpf_percpu_obj_drop(NULL); // REJECT
	return 0;
}
