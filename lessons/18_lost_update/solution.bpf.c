// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 18. Two CPUs at once
 *
 * `hits++` is three things to a processor: load, add, store. If two CPUs do it at once, both may load the same number, and one of
 * the two increments is lost. A test shows that once in a million runs, on the day when you are not looking.
 *
 * `kptrsim explore` does not wait for luck. It runs the programs on simulated CPUs in every order that matters, and when
 * one of them goes wrong it shows that order, step by step. 18_lost_update.toml says what runs where, and what must hold
 * at the end: two CPUs count once each, so that hits is 2.
 */
#include "kptrsim.h"

long hits;

SEC("syscall")
int count(void *ctx)
{
	__sync_fetch_and_add(&hits, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
