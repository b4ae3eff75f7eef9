// SPDX-License-Identifier: MIT OR Apache-2.0
// A cgroup cannot change the result of a hook that has none.
//
// program: set_result
// verdict: reject
// errno: EINVAL
// reason: BPF_LSM_CGROUP that attach to void LSM hooks can't modify return value!
// insn: 1
#include "kptrsim.h"

SEC("lsm_cgroup/task_to_inode")
int set_result(void *ctx)
{
	bpf_set_retval(-EPERM); // REJECT
	return 1;
}

char _license[] SEC("license") = "GPL";
