// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper that is for those who may look into the kernel.
//
// loader: unprivileged
//
// program: unprivileged_prints
// verdict: reject
// errno: EINVAL
// reason: program of this type cannot use helper bpf_trace_printk#6
// insn: 4
#include "kptrsim.h"

SEC("socket")
int unprivileged_prints(struct __sk_buff *skb)
{
	bpf_printk("%d", skb->len); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
