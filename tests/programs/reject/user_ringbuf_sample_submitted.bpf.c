// SPDX-License-Identifier: MIT OR Apache-2.0
// The samples of a user ring buffer are not the callback's to give back.
//
// program: user_ringbuf_sample_submitted
// verdict: reject
// errno: EINVAL
// reason: cannot release unowned const bpf_dynptr
// insn: 10
#include "../record.h"

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} samples SEC(".maps");

static long drop(struct bpf_dynptr *sample, void *unused)
{
	bpf_ringbuf_discard_dynptr(sample, 0); // REJECT
	return 0;
}

SEC("tc")
int user_ringbuf_sample_submitted(struct __sk_buff *skb)
{
	bpf_user_ringbuf_drain(&samples, drop, NULL, 0);
	return 0;
}
