// SPDX-License-Identifier: MIT OR Apache-2.0
// The context as the kernel has it: a trusted object.
//
// program: kernel_context
// verdict: accept
#include "kptrsim.h"

struct net_device___short {
	int ifindex;
} __attribute__((preserve_access_index));

struct sk_buff___short {
	struct net_device___short *dev;
} __attribute__((preserve_access_index));

SEC("tc")
int kernel_context(struct __sk_buff *skb)
{
	struct sk_buff___short *real = bpf_cast_to_kern_ctx(skb);

	return real->dev->ifindex;
}

char _license[] SEC("license") = "GPL";
