// SPDX-License-Identifier: MIT OR Apache-2.0
// A cgroup storage of each kind, one for all CPUs and one for each.
//
// program: cgroup_storage_of_each_kind
// verdict: accept
#include "kptrsim.h"

struct key {
	u64 cgroup;
	u32 attach_type;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct key);
	__type(value, long);
} first SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct key);
	__type(value, long);
} second SEC(".maps");

SEC("cgroup_skb/egress")
int cgroup_storage_of_each_kind(struct __sk_buff *skb)
{
	long *one = bpf_get_local_storage(&first, 0);
	long *other = bpf_get_local_storage(&second, 0);

	return (*one + *other) & 1;
}

char _license[] SEC("license") = "GPL";
