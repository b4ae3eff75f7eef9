// SPDX-License-Identifier: MIT OR Apache-2.0
// Only the context can be cast to the kernel's.
//
// program: kernel_context_of_stack
// verdict: reject
// errno: EINVAL
// reason: arg#0 expected pointer to ctx, but got fp
// insn: 4
#include "kptrsim.h"

SEC("tc")
int kernel_context_of_stack(struct __sk_buff *skb)
{
	volatile long fake = skb->len;

	return bpf_cast_to_kern_ctx((void *)&fake) != NULL; // REJECT
}

char _license[] SEC("license") = "GPL";
