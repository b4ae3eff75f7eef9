// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_percpu_obj_new may fail, and drop takes no NULL.
//
// program: drop_unchecked
// verdict: reject
// errno: EACCES
// reason: Possibly NULL pointer passed to trusted arg0
// insn: 6
#include "../slot.h"

SEC("tc")
int drop_unchecked(struct __sk_buff *skb)
{
	bpf_percpu_obj_drop(bpf_percpu_obj_new(struct counts)); // REJECT
	return 0;
}
