// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Starts counting anew: puts fresh counters into the map, and returns what the old ones had come to.
 */
#include "kptrsim.h"

struct counters {
	__u64 packets;
	__u64 bytes;
};

struct slot {
	struct counters __kptr *counters;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tc")
int reset(struct __sk_buff *skb)
{
	struct counters *fresh, *old;
	__u64 packets;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return 0;
	fresh = bpf_obj_new(struct counters);
	if (!fresh)
		return 0;
	old = bpf_kptr_xchg(&slot->counters, fresh);
	if (!old)
		return 0;
	packets = old->packets;
	bpf_obj_drop(old);
	return packets;
}

char _license[] SEC("license") = "GPL";
