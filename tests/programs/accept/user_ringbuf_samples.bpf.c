// SPDX-License-Identifier: MIT OR Apache-2.0
// Each sample of a user ring buffer comes as a dynptr that the callback may read.
//
// program: user_ringbuf_samples
// verdict: accept
#include "../record.h"

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} samples SEC(".maps");

static long add(struct bpf_dynptr *sample, long *sum)
{
	long *number = bpf_dynptr_data(sample, 0, sizeof(*number));

	if (!number)
		return 1;
	*sum += *number;
	return 0;
}

SEC("tc")
int user_ringbuf_samples(struct __sk_buff *skb)
{
	long sum = 0;

	bpf_user_ringbuf_drain(&samples, add, &sum, 0);
	return sum != 0;
}
