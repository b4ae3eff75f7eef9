// SPDX-License-Identifier: MIT OR Apache-2.0
// A CPU keeps the pointer to its object after it has put that into a slot. Another writes into the object, takes it out, and frees it.
// Until the first one's RCU section ends the old alias reads what was written last, and never another object's bytes.
#include "counter.h"

SEC("tc")
int publish(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *mine, *old;
	volatile struct counter *alias;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	mine = bpf_percpu_obj_new(struct counter);
	if (!mine)
		return -ENOMEM;
	old = bpf_kptr_xchg(&slot->counter, mine);
	if (old)
		bpf_percpu_obj_drop(old);
	alias = bpf_this_cpu_ptr(mine);
	alias->hits = 7;
	return alias->hits;
}

SEC("tc")
int take(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	counter = slot->counter;
	if (!counter)
		return 0;
	copy = bpf_per_cpu_ptr(counter, 0);
	if (copy)
		copy->hits = 8;
	counter = bpf_kptr_xchg(&slot->counter, NULL);
	if (!counter)
		return -ENOENT;
	bpf_percpu_obj_drop(counter);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
