// SPDX-License-Identifier: MIT OR Apache-2.0
// Security hooks: the results that each kind may have, arguments that may be passed on, and a hook that may sleep.
//
// program: refuse
// verdict: accept
//
// program: pass_on_result
// verdict: accept
//
// program: skip_capability
// verdict: accept
//
// program: without_result
// verdict: accept
//
// program: where_is_it
// verdict: accept
//
// program: of_cgroup
// verdict: accept
//
// program: write_to_arguments
// verdict: accept
#include "kptrsim.h"

char path[64];

SEC("lsm/file_open")
int BPF_PROG(refuse, struct file *file)
{
	if (file->f_flags & 1) {
		barrier(); /* or clang computes the result */
		return -EPERM;
	}
	return 0;
}

SEC("lsm/file_open")
int BPF_PROG(pass_on_result, struct file *file, int result)
{
	return result;
}

SEC("lsm/inode_xattr_skipcap")
int BPF_PROG(skip_capability, const char *name)
{
	return 1;
}

SEC("lsm/task_to_inode")
int BPF_PROG(without_result, struct task_struct *task, struct inode *inode)
{
	return 1234;
}

SEC("lsm.s/file_open")
int BPF_PROG(where_is_it, struct file *file)
{
	bpf_d_path(&file->f_path, path, sizeof(path));
	return 0;
}

SEC("lsm_cgroup/socket_create")
int BPF_PROG(of_cgroup, int family, int type, int protocol, int kern)
{
	return !kern;
}

SEC("lsm/file_open")
int write_to_arguments(unsigned long long *ctx)
{
	ctx[0] = 0;
	return 0;
}

char _license[] SEC("license") = "GPL";
