// SPDX-License-Identifier: MIT OR Apache-2.0
// Two CPUs put an object of their own into one slot: exactly one of them finds the other's there, and drops it.
#include "counter.h"

SEC("tc")
int put(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *mine, *old;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	mine = bpf_percpu_obj_new(struct counter);
	if (!mine)
		return -ENOMEM;
	old = bpf_kptr_xchg(&slot->counter, mine);
	if (!old)
		return 0;
	bpf_percpu_obj_drop(old);
	return 1;
}

SEC("tc")
int take(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *old;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	old = bpf_kptr_xchg(&slot->counter, NULL);
	if (!old)
		return 0;
	bpf_percpu_obj_drop(old);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
