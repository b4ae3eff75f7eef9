// SPDX-License-Identifier: MIT OR Apache-2.0
// Maps that a map holds, reached by index and by key.
//
// program: maps_of_maps
// verdict: accept
//
// cpus: 1 4
// run: maps_of_maps = 0
// map: first[0].total = 11
// map: second[0].total = 22
#include "kptrsim.h"

struct sum {
	long total;
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sum);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, u32);
	__array(values, struct inner);
} by_index SEC(".maps") = {
	.values = {&first, NULL, &second},
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, u32);
	__array(values, struct inner);
} by_key SEC(".maps") = {
	.values = {[1] = &second},
};

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

static __always_inline int add(void *outer, u32 key, long amount)
{
	void *inner = bpf_map_lookup_elem(outer, &key);
	u32 zero = 0;
	struct sum *value;

	if (!inner)
		return -1;
	value = bpf_map_lookup_elem(inner, &zero);
	if (!value)
		return -2;
	value->total += amount;
	return 0;
}

SEC("tc")
int maps_of_maps(struct __sk_buff *skb)
{
	EXPECT(add(&by_index, 0, 11) == 0);
	EXPECT(add(&by_index, 1, 1) == -1);
	EXPECT(add(&by_index, 2, 20) == 0);
	EXPECT(add(&by_index, 3, 1) == -1);
	EXPECT(add(&by_key, 0, 1) == -1);
	EXPECT(add(&by_key, 1, 2) == 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
