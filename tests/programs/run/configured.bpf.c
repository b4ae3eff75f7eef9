// SPDX-License-Identifier: MIT OR Apache-2.0
// A constant that is set before loading decides which half of the program runs at all.
//
// program: configured
// verdict: accept
//
// cpus: 1
// run: configured = 15
// global: result = 15
// leaks: 0
//
// cpus: 1
// set: mode=3
// set: result=100
// run: configured = 97
// global: result = 97
// leaks: 0
#include "kptrsim.h"

const volatile int mode = 1;
int result = 5;

SEC("tc")
int configured(struct __sk_buff *skb)
{
	if (mode == 1)
		result += 10;
	else
		result -= mode;
	return result;
}

char _license[] SEC("license") = "GPL";
