// SPDX-License-Identifier: MIT OR Apache-2.0
// A function with a variable number of arguments cannot be traced.
//
// program: trace_variable_arguments
// verdict: reject
// errno: EINVAL
// reason: The function _printk with variable args is unsupported.
#include "kptrsim.h"

SEC("fentry/_printk")
int trace_variable_arguments(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
