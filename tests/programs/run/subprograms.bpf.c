// SPDX-License-Identifier: MIT OR Apache-2.0
// Arguments and results of static and global functions, nested three deep, with a pointer to the caller's stack.
//
// program: subprograms
// verdict: accept
//
// cpus: 1
// run: subprograms = 12
// leaks: 0
//
// cpus: 1
// set: base=-1
// run: subprograms = 0
// leaks: 0
#include "kptrsim.h"

int base = 3;

static __noinline int square(int x)
{
	barrier_var(x);
	return x * x;
}

static __noinline int sum_of_squares(int a, int b, int *out)
{
	*out = square(a) + square(b);
	return *out;
}

__noinline int halve(int x)
{
	return x / 2u;
}

SEC("tc")
int subprograms(struct __sk_buff *skb)
{
	int out = 0;

	sum_of_squares(base, base + 1, &out);
	return halve(out);
}

char _license[] SEC("license") = "GPL";
