// SPDX-License-Identifier: MIT OR Apache-2.0
// Two tasks of one CPU count in a plain global. Where the kernel may preempt them, one counts between the other's read and write.
#include "kptrsim.h"

int counter;

static __always_inline int count(void)
{
	volatile int *shared = &counter;
	int before = *shared;

	/* Long enough for a timer's tick, and of no interest to anyone else. */
	for (int i = 0; i < 20000; i++)
		asm volatile("" : "+r"(i));
	*shared = before + 1;
	return before;
}

SEC("syscall")
int count_preemptible(void *ctx)
{
	return count();
}

SEC("syscall")
int count_in_rcu(void *ctx)
{
	bpf_rcu_read_lock();
	int before = count();
	bpf_rcu_read_unlock();
	return before;
}

SEC("syscall")
int count_without_preemption(void *ctx)
{
	bpf_preempt_disable();
	int before = count();
	bpf_preempt_enable();
	return before;
}

SEC("tc")
int count_packet(struct __sk_buff *skb)
{
	return count();
}

SEC("raw_tp/sys_enter")
int count_traced(void *ctx)
{
	return count();
}

char _license[] SEC("license") = "Dual MIT/GPL";
