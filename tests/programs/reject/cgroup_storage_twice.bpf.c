// SPDX-License-Identifier: MIT OR Apache-2.0
// A program has at most one cgroup storage of each kind.
//
// program: cgroup_storage_twice
// verdict: reject
// errno: EBUSY
// reason: only one cgroup storage of each type is allowed
#include "kptrsim.h"

struct key {
	u64 cgroup;
	u32 attach_type;
};

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct key);
	__type(value, long);
} first SEC(".maps"), second SEC(".maps");

SEC("cgroup_skb/egress")
int cgroup_storage_twice(struct __sk_buff *skb)
{
	long *one = bpf_get_local_storage(&first, 0);
	long *other = bpf_get_local_storage(&second, 0);

	return (*one + *other) & 1;
}

char _license[] SEC("license") = "GPL";
