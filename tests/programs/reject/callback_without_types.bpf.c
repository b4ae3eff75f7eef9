// SPDX-License-Identifier: MIT OR Apache-2.0
// A callback needs the program's types, which the kernel refuses: the name of a variable is not one that it takes.
//
// program: callback_without_types
// verdict: reject
// errno: EINVAL
// reason: missing btf func_info
// insn: 6
#include "kptrsim.h"

int größe;

static int each(u32 index, void *context)
{
	return 0;
}

SEC("tc")
int callback_without_types(struct __sk_buff *skb)
{
	größe++;
	bpf_loop(4, each, NULL, 0); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
