// SPDX-License-Identifier: MIT OR Apache-2.0
// The classical store buffering litmus test: each CPU writes one variable and reads the other's. On x86 both may read 0, as
// a store waits in its CPU's buffer while the load goes ahead; under sequential consistency one of them reads 1.
#include "kptrsim.h"

volatile long x, y;

SEC("syscall")
int left(void *ctx)
{
	x = 1;
	return y;
}

SEC("syscall")
int right(void *ctx)
{
	y = 1;
	return x;
}

char _license[] SEC("license") = "Dual MIT/GPL";
