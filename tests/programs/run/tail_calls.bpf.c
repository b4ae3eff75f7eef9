// SPDX-License-Identifier: MIT OR Apache-2.0
// Tail calls: how many there may be, what a function returns to, and slots without a program.
//
// program: again
// verdict: accept
//
// program: tail
// verdict: accept
//
// program: from_function
// verdict: accept
//
// program: no_program
// verdict: accept
//
// cpus: 1 4
// run: tail = 7
// run: again = 34
// run: from_function = 107
// run: no_program = 5
// global: times = 34
#include "kptrsim.h"

int again(struct __sk_buff *skb);
int tail(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, sizeof(u32));
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {
		[0] = (void *)&again,
		[1] = (void *)&tail,
	},
};

int times;

SEC("tc")
int again(struct __sk_buff *skb)
{
	times++;
	bpf_tail_call(skb, &programs, 0);
	return times;
}

SEC("tc")
int tail(struct __sk_buff *skb)
{
	return 7;
}

static __noinline int into_tail(struct __sk_buff *skb)
{
	int result = 0;

	bpf_tail_call(skb, &programs, 1);
	/* Clang takes it that the call returns. */
	barrier_var(result);
	return result;
}

SEC("tc")
int from_function(struct __sk_buff *skb)
{
	return into_tail(skb) + 100;
}

SEC("tc")
int no_program(struct __sk_buff *skb)
{
	int tried = 3;

	bpf_tail_call(skb, &programs, 2);
	tried++;
	bpf_tail_call(skb, &programs, 3);
	tried++;
	return tried;
}

char _license[] SEC("license") = "GPL";
