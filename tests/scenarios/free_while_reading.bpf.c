// SPDX-License-Identifier: MIT OR Apache-2.0
// One CPU takes the object away and frees it while another reads it under RCU: the reader finds nothing, or what was there, and that twice.
#include "counter.h"

const volatile int cpus;

SEC("tc")
int make(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *fresh, *counter;
	struct counter *copy;
	struct slot *slot = find(0);
	int cpu;

	if (!slot)
		return -EINVAL;
	fresh = bpf_percpu_obj_new(struct counter);
	if (!fresh)
		return -ENOMEM;
	fresh = bpf_kptr_xchg(&slot->counter, fresh);
	if (fresh)
		bpf_percpu_obj_drop(fresh);
	/* What bpf_percpu_obj_new gives has the bytes of what was there before. */
	counter = slot->counter;
	if (!counter)
		return -ENOENT;
	bpf_for(cpu, 0, cpus) {
		copy = bpf_per_cpu_ptr(counter, cpu);
		if (copy)
			copy->hits = 7;
	}
	return 0;
}

SEC("tc")
int read(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	volatile struct counter *copy;
	struct slot *slot = find(0);
	long first;

	if (!slot)
		return -EINVAL;
	counter = slot->counter;
	if (!counter)
		return 0;
	copy = bpf_this_cpu_ptr(counter);
	first = copy->hits;
	return first * 10 + copy->hits;
}

SEC("tc")
int take_and_free(struct __sk_buff *skb)
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
