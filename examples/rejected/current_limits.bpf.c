// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Copies the limits that are in force at the moment, for whoever asks by calling the program.
 *
 * Another program publishes new limits in the map at any time, and drops the old ones. This one may sleep.
 */
#include "kptrsim.h"

struct limits {
	__u64 packets;
	__u64 bytes;
};

struct slot {
	struct limits unused;
	struct limits __kptr *limits;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} in_force SEC(".maps");

__u64 packets, bytes;

SEC("syscall")
int copy_limits(void *ctx)
{
	struct limits *limits;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&in_force, &key);

	if (!slot)
		return 1;
	bpf_rcu_read_lock();
	limits = slot->limits;
	if (!limits) {
		bpf_rcu_read_unlock();
		return 1;
	}
	packets = limits->packets;
	bpf_rcu_read_unlock();

	bytes = limits->bytes;
	return 0;
}

char _license[] SEC("license") = "GPL";
