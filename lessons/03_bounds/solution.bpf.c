// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 3. An index that may be anything
 *
 * For every register that holds a number the verifier keeps the range that it can lie in: the smallest and the largest
 * value, and which bits are known. A number that comes from outside, such as a packet's length, has the widest range
 * there is. Comparing it narrows the range: after `if (n >= 8) return;` the verifier knows that n is 0 to 7.
 *
 * An array may be indexed only if every number in the index's range stays inside.
 */
#include "kptrsim.h"

enum { BUCKETS = 8 };

long buckets[BUCKETS];

/* Counts a packet in the bucket of its size: below 128 bytes, below 256, and so on. Returns how many that bucket has. */
SEC("tc")
int measure(struct __sk_buff *skb)
{
	__u32 bucket = skb->len / 128;

	if (bucket >= BUCKETS)
		bucket = BUCKETS - 1;
	buckets[bucket]++;
	return buckets[bucket];
}

char _license[] SEC("license") = "GPL";
