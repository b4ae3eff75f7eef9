// SPDX-License-Identifier: MIT OR Apache-2.0
// Updates under the value's lock change an element in its place; without a lock in the value they are refused.
//
// program: update_under_lock
// verdict: accept
//
// cpus: 1 4
// run: update_under_lock = 0
// map: locked[0].number = 2
// map: table[1].number = 4
#include "kptrsim.h"

struct locked {
	struct bpf_spin_lock lock;
	int number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct locked);
} locked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct locked);
} table SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} plain SEC(".maps");

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

SEC("tc")
int update_under_lock(struct __sk_buff *skb)
{
	struct locked value = {.number = 1}, *before, *after;
	u64 number = 0;
	u32 key = 0;

	EXPECT(bpf_map_update_elem(&plain, &key, &number, BPF_F_LOCK) == -EINVAL);
	EXPECT(bpf_map_update_elem(&locked, &key, &value, BPF_F_LOCK | BPF_NOEXIST) == -EEXIST);
	EXPECT(bpf_map_update_elem(&locked, &key, &value, 8) == -EINVAL);
	EXPECT(bpf_map_update_elem(&locked, &key, &value, BPF_NOEXIST | BPF_EXIST) == -EINVAL);
	value.number = 2;
	EXPECT(bpf_map_update_elem(&locked, &key, &value, BPF_F_LOCK | BPF_EXIST) == 0);
	key = 1;
	EXPECT(bpf_map_update_elem(&locked, &key, &value, BPF_F_LOCK) == -E2BIG);
	EXPECT(bpf_map_update_elem(&table, &key, &value, BPF_F_LOCK | BPF_EXIST) == -ENOENT);
	value.number = 3;
	EXPECT(bpf_map_update_elem(&table, &key, &value, BPF_F_LOCK) == 0);
	before = bpf_map_lookup_elem(&table, &key);
	EXPECT(before);
	value.number = 4;
	EXPECT(bpf_map_update_elem(&table, &key, &value, BPF_F_LOCK) == 0);
	after = bpf_map_lookup_elem(&table, &key);
	EXPECT(after && before == after && before->number == 4);
	return 0;
}

char _license[] SEC("license") = "GPL";
