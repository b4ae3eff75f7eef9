// SPDX-License-Identifier: MIT OR Apache-2.0
// One CPU counts in its own copy, as it may without atomics; another writes into that copy, as it may not.
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
			copy->hits = 0;
	}
	return 0;
}

SEC("tc")
int count(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	counter = slot->counter;
	if (!counter)
		return -ENOENT;
	((volatile struct counter *)bpf_this_cpu_ptr(counter))->hits++;
	return 0;
}

SEC("tc")
int correct(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	counter = slot->counter;
	if (!counter)
		return -ENOENT;
	copy = bpf_per_cpu_ptr(counter, 0);
	if (!copy)
		return -EINVAL;
	copy->hits += 10;
	return 0;
}

SEC("tc")
int tell(struct __sk_buff *skb)
{
	struct counter __percpu_kptr *counter;
	struct counter *copy;
	struct slot *slot = find(0);

	if (!slot)
		return -EINVAL;
	counter = slot->counter;
	if (!counter)
		return -ENOENT;
	copy = bpf_per_cpu_ptr(counter, 0);
	return copy ? copy->hits : -EINVAL;
}

char _license[] SEC("license") = "Dual MIT/GPL";
