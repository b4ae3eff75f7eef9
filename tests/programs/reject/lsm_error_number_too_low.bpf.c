// SPDX-License-Identifier: MIT OR Apache-2.0
// There is no error number below -4095.
//
// program: too_low
// verdict: reject
// errno: EINVAL
// reason: At program exit the register R0 has smin=4294963200 smax=4294967295 should have been in [-4095, 0]
// insn: 2
#include "kptrsim.h"

SEC("lsm/file_open")
int BPF_PROG(too_low, struct file *file, int result) // REJECT
{
	return result - 1;
}

char _license[] SEC("license") = "GPL";
