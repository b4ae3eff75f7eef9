// SPDX-License-Identifier: MIT OR Apache-2.0
// A path can be asked for where the hook may sleep only.
//
// program: path_of_permission
// verdict: reject
// errno: EINVAL
// reason: helper call is not allowed in probe
// insn: 6
#include "kptrsim.h"

char path[64];

SEC("lsm/file_permission")
int BPF_PROG(path_of_permission, struct file *file)
{
	bpf_d_path(&file->f_path, path, sizeof(path)); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
