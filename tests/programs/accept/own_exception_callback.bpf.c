// SPDX-License-Identifier: MIT OR Apache-2.0
// The program's own callback turns the exception's number into the program's result.
//
// program: own_exception_callback
// verdict: accept
#include "kptrsim.h"

__noinline int on_exception(__u64 number)
{
	return number ? 1 : 0;
}

SEC("cgroup_skb/ingress")
__exception_cb(on_exception)
int own_exception_callback(struct __sk_buff *skb)
{
	if (skb->len > 9000)
		bpf_throw(skb->len);
	return 1;
}

char _license[] SEC("license") = "GPL";
