// SPDX-License-Identifier: MIT OR Apache-2.0
// A map's own description can be read through its address.
//
// program: map_description
// verdict: accept
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, int);
	__type(value, long);
} values SEC(".maps");

struct bpf_map___entries {
	__u32 max_entries;
} __attribute__((preserve_access_index));

SEC("tc")
int map_description(struct __sk_buff *skb)
{
	struct bpf_map___entries *map = (void *)&values;

	return map->max_entries;
}

char _license[] SEC("license") = "GPL";
