// SPDX-License-Identifier: MIT OR Apache-2.0
// An argument that may be NULL must be checked.
//
// program: unchecked
// verdict: reject
// errno: EACCES
// reason: R1 invalid mem access 'trusted_ptr_or_null_'
// insn: 1
#include "kptrsim.h"

struct bpf_dummy_ops_state {
	int val;
} __attribute__((preserve_access_index));

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *state);
};

SEC("struct_ops")
int BPF_PROG(unchecked, struct bpf_dummy_ops_state *state)
{
	return state->val; // REJECT
}

SEC(".struct_ops")
struct bpf_dummy_ops dummy = {
	.test_1 = (void *)unchecked,
};

char _license[] SEC("license") = "GPL";
