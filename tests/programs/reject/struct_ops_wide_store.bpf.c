// SPDX-License-Identifier: MIT OR Apache-2.0
// A store must end where the structure ends.
//
// program: wide
// verdict: reject
// errno: EACCES
// reason: write access at off 0 with size 8
// insn: 2
#include "kptrsim.h"

struct bpf_dummy_ops_state {
	int val;
} __attribute__((preserve_access_index));

struct bpf_dummy_ops {
	int (*test_2)(struct bpf_dummy_ops_state *state, int a, unsigned short b, char c, unsigned long d);
};

SEC("struct_ops")
int BPF_PROG(wide, struct bpf_dummy_ops_state *state)
{
	*(volatile unsigned long *)state = 1; // REJECT
	return 0;
}

SEC(".struct_ops")
struct bpf_dummy_ops dummy = {
	.test_2 = (void *)wide,
};

char _license[] SEC("license") = "GPL";
