// SPDX-License-Identifier: MIT OR Apache-2.0
// Kernel functions are for programs under a licence compatible with the GPL.
//
// program: not_gpl
// verdict: reject
// errno: EINVAL
// reason: cannot call kernel function from non-GPL compatible program
#define LICENSE "Proprietary"
#include "../slot.h"

SEC("tc")
int not_gpl(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
