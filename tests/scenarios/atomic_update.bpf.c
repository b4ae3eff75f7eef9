// SPDX-License-Identifier: MIT OR Apache-2.0
// As lost_update, with an atomic add: nothing is lost, and each CPU sees its own place in the order.
#include "kptrsim.h"

long counter;

SEC("syscall")
int count(void *ctx)
{
	return __sync_fetch_and_add(&counter, 1);
}

char _license[] SEC("license") = "Dual MIT/GPL";
