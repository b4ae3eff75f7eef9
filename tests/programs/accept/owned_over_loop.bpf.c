// SPDX-License-Identifier: MIT OR Apache-2.0
// One object is owned while a loop runs that knows nothing of it.
//
// program: owned_over_loop
// verdict: accept
#include "../slot.h"

SEC("tc")
int owned_over_loop(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);
	long sum = 0;
	int i;

	if (!p)
		return 0;
	bpf_for(i, 0, 1000)
		sum += i;
	bpf_percpu_obj_drop(p);
	return sum & 0xff;
}
