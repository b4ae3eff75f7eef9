// SPDX-License-Identifier: MIT OR Apache-2.0
// Security hooks are for programs under the GPL.
//
// program: unlicensed
// verdict: reject
// errno: EINVAL
// reason: LSM programs must have a GPL compatible license
#include "kptrsim.h"

SEC("lsm/file_open")
int unlicensed(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "Proprietary";
