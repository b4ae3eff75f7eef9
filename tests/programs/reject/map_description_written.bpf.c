// SPDX-License-Identifier: MIT OR Apache-2.0
// A map's description is not for writing.
//
// program: map_description_written
// verdict: reject
// errno: EACCES
// reason: only read from bpf_array is supported
// insn: 3
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, int);
	__type(value, long);
} values SEC(".maps");

SEC("tc")
int map_description_written(struct __sk_buff *skb)
{
	volatile long *map = (void *)&values;

	map[3] = 4; // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
