// SPDX-License-Identifier: MIT OR Apache-2.0
// Two CPUs count in one plain global: an increment can be lost between the load and the store.
#include "kptrsim.h"

volatile long counter;

SEC("syscall")
int count(void *ctx)
{
	counter++;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
