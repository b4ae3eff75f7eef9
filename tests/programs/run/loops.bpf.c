// SPDX-License-Identifier: MIT OR Apache-2.0
// The same sum by an open-coded iterator, by a callback, and by a loop that the verifier walks through.
//
// program: loops
// verdict: accept
//
// cpus: 1
// run: loops = 1
// global: by_iterator = 55
// global: by_callback = 55
// global: by_branch = 55
// leaks: 0
#include "kptrsim.h"

long by_iterator, by_callback, by_branch;

static int add(u32 round, void *context)
{
	*(long *)context += round;
	return 0;
}

SEC("tc")
int loops(struct __sk_buff *skb)
{
	long sum = 0;
	int i;

	bpf_for(i, 0, 11)
		by_iterator += i;
	bpf_loop(11, add, &sum, 0);
	by_callback = sum;
	for (i = 0; i < 11; i++) {
		barrier_var(i);
		by_branch += i;
	}
	return by_iterator == by_callback && by_callback == by_branch;
}

char _license[] SEC("license") = "GPL";
