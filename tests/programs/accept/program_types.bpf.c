// SPDX-License-Identifier: MIT OR Apache-2.0
// Who may allocate: tracing, traffic control, XDP, cgroup socket buffers, system calls.
//
// program: allocate_in_tc
// verdict: accept
//
// program: allocate_in_xdp
// verdict: accept
//
// program: allocate_in_cgroup_skb
// verdict: accept
//
// program: allocate_in_syscall
// verdict: accept
//
// program: allocate_in_fexit
// verdict: accept
//
// program: allocate_in_tp_btf
// verdict: accept
#include "../slot.h"

static __always_inline int allocate(void)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

SEC("tc")
int allocate_in_tc(struct __sk_buff *skb)
{
	return allocate();
}

SEC("xdp")
int allocate_in_xdp(struct xdp_md *ctx)
{
	return allocate();
}

SEC("cgroup_skb/egress")
int allocate_in_cgroup_skb(struct __sk_buff *skb)
{
	return allocate();
}

SEC("syscall")
int allocate_in_syscall(void *ctx)
{
	return allocate();
}

SEC("fexit/bpf_fentry_test1")
int BPF_PROG(allocate_in_fexit, int argument, int result)
{
	return allocate();
}

SEC("tp_btf/task_newtask")
int BPF_PROG(allocate_in_tp_btf, struct task_struct *task, u64 flags)
{
	return allocate();
}
