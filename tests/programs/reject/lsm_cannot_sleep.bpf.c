// SPDX-License-Identifier: MIT OR Apache-2.0
// Not every hook may sleep.
//
// program: may_sleep
// verdict: reject
// errno: EINVAL
// reason: bpf_lsm_file_permission is not sleepable
#include "kptrsim.h"

SEC("lsm.s/file_permission")
int may_sleep(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
