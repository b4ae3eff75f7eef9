// SPDX-License-Identifier: MIT OR Apache-2.0
// The packet's bytes themselves: a filter of a cgroup gets at them with CAP_BPF only.
//
// loader: unprivileged
//
// program: unprivileged_packet_bytes
// verdict: reject
// errno: EACCES
// reason: invalid bpf_context access off=76 size=4
// insn: 0
#include "kptrsim.h"

SEC("cgroup_skb/egress")
int unprivileged_packet_bytes(struct __sk_buff *skb)
{
	return skb->data != 0; // REJECT
}

char _license[] SEC("license") = "GPL";
