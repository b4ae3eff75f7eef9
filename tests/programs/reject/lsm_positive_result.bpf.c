// SPDX-License-Identifier: MIT OR Apache-2.0
// A security hook answers 0 or an error number below it.
//
// program: positive
// verdict: reject
// errno: EINVAL
// reason: At program exit the register R0 has smin=1 smax=1 should have been in [-4095, 0]
// insn: 1
#include "kptrsim.h"

SEC("lsm/file_open")
int BPF_PROG(positive, struct file *file) // REJECT
{
	return 1;
}

char _license[] SEC("license") = "GPL";
