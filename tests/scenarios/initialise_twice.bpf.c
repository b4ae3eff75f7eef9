// SPDX-License-Identifier: MIT OR Apache-2.0
// Who finds the slot empty makes the object. Two CPUs can both find it empty; the second puts its own in the first one's place, and what
// was counted in that is gone.
#include "counter.h"

SEC("tc")
int start(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	if (slot->counter)
		return 0;
	counter = bpf_percpu_obj_new(struct counter);
	if (!counter)
		return -ENOMEM;
	counter = bpf_kptr_xchg(&slot->counter, counter);
	if (!counter)
		return 1;
	bpf_percpu_obj_drop(counter);
	return 2;
}

char _license[] SEC("license") = "Dual MIT/GPL";
