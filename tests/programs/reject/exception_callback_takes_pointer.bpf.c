// SPDX-License-Identifier: MIT OR Apache-2.0
// An exception carries a number, and nothing else.
//
// program: exception_callback_takes_pointer
// verdict: reject
// errno: EINVAL
// reason: exception cb only supports single integer argument
#include "kptrsim.h"

struct sample {
	long pid;
};

__noinline int on_exception(struct sample *sample)
{
	return sample ? 1 : 0;
}

SEC("tc")
__exception_cb(on_exception)
int exception_callback_takes_pointer(struct __sk_buff *skb)
{
	bpf_throw(skb->len);
	return 0;
}

char _license[] SEC("license") = "GPL";
