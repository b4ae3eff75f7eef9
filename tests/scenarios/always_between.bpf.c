// SPDX-License-Identifier: MIT OR Apache-2.0
// Two CPUs set a variable each. What must always hold is judged between their steps, though these commute.
#include "kptrsim.h"

int first_set, second_set;

SEC("syscall")
int set_first(void *ctx)
{
	*(volatile int *)&first_set = 1;
	return 0;
}

SEC("syscall")
int set_second(void *ctx)
{
	*(volatile int *)&second_set = 1;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
