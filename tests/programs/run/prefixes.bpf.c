// SPDX-License-Identifier: MIT OR Apache-2.0
// A trie gives the value of the longest prefix that it has, no longer than the one that is asked for.
//
// program: prefixes
// verdict: accept
//
// cpus: 1 4
// run: prefixes = 0
#include "kptrsim.h"

struct key {
	u32 length;
	u8 data[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 3);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, u32);
} routes SEC(".maps");

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

static __always_inline u32 find(u32 length, u8 first, u8 second)
{
	struct key key = {length, {first, second, 0, 1}};
	u32 *value = bpf_map_lookup_elem(&routes, &key);

	return value ? *value : 0;
}

static __always_inline long put(u32 length, u8 first, u8 second, u32 value, u64 flags)
{
	struct key key = {length, {first, second, 0, 0}};

	return bpf_map_update_elem(&routes, &key, &value, flags);
}

SEC("tc")
int prefixes(struct __sk_buff *skb)
{
	struct key key = {12, {10, 0x10, 0, 0}};

	EXPECT(put(33, 10, 0, 1, 0) == -EINVAL);
	EXPECT(put(8, 10, 0, 8, BPF_EXIST) == -ENOENT);
	EXPECT(put(8, 10, 99, 8, 0) == 0);
	EXPECT(put(8, 10, 55, 9, BPF_NOEXIST) == -EEXIST);
	EXPECT(put(12, 10, 0x1f, 12, 0) == 0);
	EXPECT(put(0, 0, 0, 1, 0) == 0);
	EXPECT(put(32, 1, 2, 3, 0) == -28); /* ENOSPC */
	EXPECT(find(32, 10, 0x20) == 8);
	EXPECT(find(32, 10, 0x1a) == 12);
	EXPECT(find(11, 10, 0x1a) == 8);
	EXPECT(find(7, 10, 0x1a) == 1);
	EXPECT(find(32, 11, 0) == 1);
	EXPECT(find(33, 10, 0) == 0);
	EXPECT(bpf_map_delete_elem(&routes, &key) == 0);
	EXPECT(bpf_map_delete_elem(&routes, &key) == -ENOENT);
	EXPECT(find(32, 10, 0x1a) == 8);
	EXPECT(put(8, 10, 1, 80, BPF_EXIST) == 0);
	EXPECT(find(32, 10, 0x1a) == 80);
	return 0;
}

char _license[] SEC("license") = "GPL";
