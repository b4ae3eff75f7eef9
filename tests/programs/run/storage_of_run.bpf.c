// SPDX-License-Identifier: MIT OR Apache-2.0
// Storage of a cgroup and an attachment: each test run has its own, which begins with zeros.
//
// program: storage_of_run
// verdict: accept
//
// cpus: 1 4
// run: storage_of_run = 3
// run: storage_of_run = 3
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, u64);
} shared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, u64);
} of_cpu SEC(".maps");

SEC("cgroup_skb/egress")
int storage_of_run(struct __sk_buff *skb)
{
	u64 *value = bpf_get_local_storage(&shared, 0), *mine = bpf_get_local_storage(&of_cpu, 0);

	*value += 1;
	*mine += 2;
	value = bpf_get_local_storage(&shared, 0);
	if (*value + *mine != 3)
		return 0;
	return 3;
}

char _license[] SEC("license") = "GPL";
