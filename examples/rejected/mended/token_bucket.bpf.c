// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A rate limit: a bucket that fills with a token a millisecond, up to a hundred. A packet costs a token, or is dropped.
 */
#include "kptrsim.h"

#define MILLISECOND 1000000
#define FULL 100

struct bucket {
	struct bpf_spin_lock lock;
	__u64 filled_at;
	__u64 tokens;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

SEC("tc")
int limit(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_ns(), more;
	struct bucket *bucket;
	__u32 key = 0;

	bucket = bpf_map_lookup_elem(&buckets, &key);
	if (!bucket)
		return TC_ACT_OK;
	bpf_spin_lock(&bucket->lock);
	more = (now - bucket->filled_at) / MILLISECOND;
	if (more) {
		bucket->tokens += more;
		if (bucket->tokens > FULL)
			bucket->tokens = FULL;
		bucket->filled_at = now;
	}
	if (!bucket->tokens) {
		bpf_spin_unlock(&bucket->lock);
		return TC_ACT_SHOT;
	}
	bucket->tokens--;
	bpf_spin_unlock(&bucket->lock);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
