// SPDX-License-Identifier: MIT OR Apache-2.0
// A value of an array is overwritten in its place while another CPU reads its fields: a helper copies it word by word.
#include "kptrsim.h"

struct pair {
	__u64 first, second;
};

struct long_value {
	__u64 words[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct long_value);
} long_values SEC(".maps");

SEC("syscall")
int update_pair(void *ctx)
{
	struct pair value = { 0x0101010101010101, 0x0101010101010101 };
	int key = 0;

	return bpf_map_update_elem(&pairs, &key, &value, 0);
}

SEC("syscall")
int read_pair(void *ctx)
{
	int key = 0;
	volatile struct pair *value = bpf_map_lookup_elem(&pairs, &key);

	if (!value)
		return -1;
	int first = value->first != 0;
	int second = value->second != 0;
	return first * 10 + second;
}

SEC("syscall")
int update_long(void *ctx)
{
	struct long_value value;
	int key = 0;

	for (int i = 0; i < 5; i++)
		value.words[i] = 0x0101010101010101;
	return bpf_map_update_elem(&long_values, &key, &value, 0);
}

SEC("syscall")
int read_long(void *ctx)
{
	int key = 0;
	volatile struct long_value *value = bpf_map_lookup_elem(&long_values, &key);

	if (!value)
		return -1;
	int last = value->words[4] != 0;
	int first = value->words[1] != 0;
	return last * 10 + first;
}

SEC("syscall")
int write_pair(void *ctx)
{
	struct pair value = { 0x0101010101010101, 0x0101010101010101 };
	struct bpf_dynptr view;
	int key = 0;
	struct pair *shared = bpf_map_lookup_elem(&pairs, &key);

	if (!shared)
		return -1;
	bpf_dynptr_from_mem(shared, sizeof(*shared), 0, &view);
	return bpf_dynptr_write(&view, 0, &value, sizeof(value), 0);
}

SEC("syscall")
int copy_pair(void *ctx)
{
	struct pair copy;
	int key = 0;
	struct pair *shared = bpf_map_lookup_elem(&pairs, &key);

	if (!shared || bpf_probe_read_kernel(&copy, sizeof(copy), shared))
		return -1;
	return (copy.first != 0) * 10 + (copy.second != 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
