// SPDX-License-Identifier: MIT OR Apache-2.0
// Exceptions: what a program returns that threw one, from functions, with and without a callback for it.
//
// program: throws
// verdict: accept
//
// program: throws_from_function
// verdict: accept
//
// program: has_callback
// verdict: accept
//
// program: tail_calls_thrower
// verdict: accept
//
// cpus: 1 4
// run: throws = 64
// run: throws_from_function = 16
// run: has_callback = 1064
// run: tail_calls_thrower = 1065
// global: reached = 2
#include "kptrsim.h"

int throws(struct __sk_buff *skb);
int has_callback(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(u32));
	__array(values, int(void *));
} programs SEC(".maps") = {
	.values = {
		[0] = (void *)&has_callback,
	},
};

int reached;

__noinline int on_exception(u64 cookie)
{
	reached++;
	return cookie + 1000;
}

SEC("tc")
int throws(struct __sk_buff *skb)
{
	bpf_throw(64);
	return 1;
}

static __noinline int deeper(int value)
{
	if (value > 2)
		bpf_throw(value);
	reached = 100;
	return value;
}

static __noinline int function(int value)
{
	int result = deeper(value / 2);

	reached = 200;
	return result;
}

SEC("tc")
int throws_from_function(struct __sk_buff *skb)
{
	return function(skb->len / 2) + 1;
}

SEC("tc")
__exception_cb(on_exception)
int has_callback(struct __sk_buff *skb)
{
	bpf_throw(64);
	return 1;
}

static __noinline int into_thrower(struct __sk_buff *skb)
{
	int result = 0;

	bpf_tail_call(skb, &programs, 0);
	barrier_var(result);
	return result;
}

/* The exception ends the program that threw it, and not the function's caller. */
SEC("tc")
int tail_calls_thrower(struct __sk_buff *skb)
{
	return into_thrower(skb) + 1;
}

char _license[] SEC("license") = "GPL";
