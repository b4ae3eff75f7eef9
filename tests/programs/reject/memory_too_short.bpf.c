// SPDX-License-Identifier: MIT OR Apache-2.0
// The memory must be as long as the type that the parameter points to: here eight bytes of sixteen.
//
// program: memory_too_short
// verdict: reject
// errno: EINVAL
// reason: Caller passes invalid args into func#1 ('with_memory')
// insn: 4
#include "kptrsim.h"

struct sample {
	long pid;
	long seen;
};

__noinline int with_memory(struct sample *sample __arg_nonnull)
{
	return sample->seen;
}

SEC("tc")
int memory_too_short(struct __sk_buff *skb)
{
	volatile long pid = skb->len;

	return with_memory((struct sample *)&pid); // REJECT
}

char _license[] SEC("license") = "GPL";
