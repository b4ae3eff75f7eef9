// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback's result is the program's, and must be in its range.
//
// program: exception_result_out_of_range
// verdict: reject
// errno: EINVAL
// reason: At program exit the register R0 has unknown scalar value should have been in [0, 1]
// insn: 6
#include "kptrsim.h"

__noinline int on_exception(__u64 number)
{
	return number; // REJECT
}

SEC("cgroup_skb/ingress")
__exception_cb(on_exception)
int exception_result_out_of_range(struct __sk_buff *skb)
{
	if (skb->len > 9000)
		bpf_throw(skb->len);
	return 1;
}

char _license[] SEC("license") = "GPL";
