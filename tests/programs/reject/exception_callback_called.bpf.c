// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback is for exceptions alone. That it is called is seen last, when all functions are verified.
//
// program: exception_callback_called
// verdict: reject
// errno: EINVAL
// reason: insn 5 cannot call exception cb directly
#include "kptrsim.h"

__noinline int on_exception(__u64 number)
{
	return number ? 1 : 0;
}

SEC("tc")
__exception_cb(on_exception)
int exception_callback_called(struct __sk_buff *skb)
{
	if (skb->len > 9000)
		bpf_throw(skb->len);
	return on_exception(skb->len);
}

char _license[] SEC("license") = "GPL";
