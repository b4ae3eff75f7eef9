// SPDX-License-Identifier: MIT OR Apache-2.0
// The context as the kernel has it: a trusted object.
//
// program: kernel_context
// verdict: accept
#include "kptrsim.h"

SEC("tc")
int kernel_context(struct __sk_buff *skb)
{
	struct sk_buff *real = bpf_cast_to_kern_ctx(skb);

	return real->len;
}

char _license[] SEC("license") = "GPL";
