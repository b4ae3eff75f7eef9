// SPDX-License-Identifier: MIT OR Apache-2.0
// Of a program that may sleep the kernel asks only whether it may sleep there, not whether the result may be changed.
//
// program: change_result_asleep
// verdict: reject
// errno: EINVAL
// reason: vfs_read is not sleepable
#include "kptrsim.h"

SEC("fmod_ret.s/vfs_read")
int change_result_asleep(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
