// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Returns the number that another program has published in the map.
 */
#include "kptrsim.h"

struct greeting {
	__u64 number;
};

struct slot {
	struct greeting __kptr *greeting;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tc")
int greet(struct __sk_buff *skb)
{
	struct greeting *greeting;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);

	if (!slot)
		return 0;
	greeting = slot->greeting;
	if (!greeting)
		return 0;
	return greeting->number;
}

char _license[] SEC("license") = "GPL";
