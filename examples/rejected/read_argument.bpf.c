// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Reads a string out of the memory of the process that calls the program, to the place that a map names at the moment.
 *
 * Another program publishes new places in the map at any time, and drops the old ones.
 */
#include "kptrsim.h"

struct place {
	__u64 address;
	__u64 length;
};

struct slot {
	struct place unused;
	struct place __kptr *place;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} places SEC(".maps");

char argument[64];

SEC("syscall")
int read_argument(void *ctx)
{
	struct place *place;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&places, &key);
	long error = -ENOENT;

	if (!slot)
		return error;
	bpf_rcu_read_lock();
	place = slot->place;
	if (place)
		error = bpf_copy_from_user(argument, sizeof(argument), (void *)place->address);
	bpf_rcu_read_unlock();
	return error;
}

char _license[] SEC("license") = "GPL";
