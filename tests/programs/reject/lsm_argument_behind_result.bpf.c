// SPDX-License-Identifier: MIT OR Apache-2.0
// Behind the last argument lies the result, and behind the result nothing.
//
// program: behind_result
// verdict: reject
// errno: EACCES
// reason: invalid bpf_context access off=16 size=8
// insn: 0
#include "kptrsim.h"

SEC("lsm/file_open")
int behind_result(unsigned long long *ctx)
{
	return ctx[2]; // REJECT
}

char _license[] SEC("license") = "GPL";
