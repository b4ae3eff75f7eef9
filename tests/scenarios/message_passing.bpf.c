// SPDX-License-Identifier: MIT OR Apache-2.0
// The message passing litmus test: who sees the flag sees the data. x86 keeps stores in order, and loads too.
#include "kptrsim.h"

volatile long data, flag;

SEC("syscall")
int send(void *ctx)
{
	data = 1;
	flag = 1;
	return 0;
}

SEC("syscall")
int receive(void *ctx)
{
	long seen = flag;

	return seen * 2 + data;
}

char _license[] SEC("license") = "Dual MIT/GPL";
