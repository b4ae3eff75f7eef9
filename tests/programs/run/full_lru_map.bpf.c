// SPDX-License-Identifier: MIT OR Apache-2.0
// A hash of the least recently used keeps what it has room for. What it throws away for one more is the kernel's secret: a run that comes
// to that ends, and says nothing of results.
//
// program: fill
// verdict: accept
//
// program: overfill
// verdict: accept
//
// program: use_again
// verdict: accept
//
// cpus: 1 4
// run: fill = 4
// leaks: 0
//
// cpus: 1 4
// run: overfill unsupported eviction on map recent of type 9
//
// cpus: 1 4
// run: fill = 4
// run: use_again unsupported eviction on map recent of type 9
#include "kptrsim.h"

#define ROOM 4

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, ROOM);
	__type(key, u32);
	__type(value, u64);
} recent SEC(".maps");

static int put(u32 keys)
{
	u32 key;

	bpf_for(key, 0, keys) {
		u32 k = key;
		u64 v = key;

		bpf_map_update_elem(&recent, &k, &v, BPF_ANY);
	}
	return 0;
}

static int count(void)
{
	int found = 0;
	u32 key;

	bpf_for(key, 0, ROOM) {
		u32 k = key;

		if (bpf_map_lookup_elem(&recent, &k))
			found++;
	}
	return found;
}

SEC("tc")
int fill(struct __sk_buff *skb)
{
	put(ROOM);
	return count();
}

SEC("tc")
int overfill(struct __sk_buff *skb)
{
	put(ROOM + 1);
	return count();
}

// A key that is there takes a free element too, before the old one is given back.
SEC("tc")
int use_again(struct __sk_buff *skb)
{
	u32 key = 0;
	u64 value = 1;

	bpf_map_update_elem(&recent, &key, &value, BPF_EXIST);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
