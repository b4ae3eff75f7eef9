// SPDX-License-Identifier: MIT OR Apache-2.0
// A CPU updates its own copy of a per-CPU array while another CPU reads that copy.
#include "kptrsim.h"

struct pair {
	__u64 first, second;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct pair);
} pairs SEC(".maps");

SEC("syscall")
int update_own(void *ctx)
{
	struct pair value = { 0x0101010101010101, 0x0101010101010101 };
	int key = 0;

	return bpf_map_update_elem(&pairs, &key, &value, 0);
}

SEC("syscall")
int read_other(void *ctx)
{
	int key = 0;
	volatile struct pair *value = bpf_map_lookup_percpu_elem(&pairs, &key, 0);

	if (!value)
		return -1;
	int first = value->first != 0;
	int second = value->second != 0;
	return first * 10 + second;
}

char _license[] SEC("license") = "Dual MIT/GPL";
