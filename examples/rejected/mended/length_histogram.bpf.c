// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A histogram of packet lengths: a bucket for each 128 bytes.
 *
 * A packet has 1500 bytes at most on most networks; of longer ones nothing is counted.
 */
#include "kptrsim.h"

#define BUCKETS 12
#define BUCKET_BYTES 128

struct histogram {
	__u64 packets[BUCKETS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct histogram);
} histograms SEC(".maps");

SEC("tc")
int measure(struct __sk_buff *skb)
{
	struct histogram *histogram;
	__u32 key = 0, bucket;

	histogram = bpf_map_lookup_elem(&histograms, &key);
	if (!histogram)
		return TC_ACT_OK;
	bucket = skb->len / BUCKET_BYTES;
	if (bucket < BUCKETS)
		__sync_fetch_and_add(&histogram->packets[bucket], 1);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
