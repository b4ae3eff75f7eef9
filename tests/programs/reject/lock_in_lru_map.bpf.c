// SPDX-License-Identifier: MIT OR Apache-2.0
// Locks are not for maps that give up elements: this one is created without its types.
//
// program: lock_in_lru_map
// verdict: reject
// errno: EINVAL
// reason: map 'recent' has to have BTF in order to use bpf_spin_lock
// insn: 10
#include "../graph.h"

struct locked {
	struct bpf_spin_lock lock;
	long count;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct locked);
} recent SEC(".maps");

SEC("tc")
int lock_in_lru_map(struct __sk_buff *skb)
{
	int key = 0;
	struct locked *entry = bpf_map_lookup_elem(&recent, &key);

	if (!entry)
		return 0;
	bpf_spin_lock(&entry->lock); // REJECT
	bpf_spin_unlock(&entry->lock);
	return 0;
}
