// SPDX-License-Identifier: MIT OR Apache-2.0
// A global function takes any dynptr, and is checked on its own with one that it may use but not change.
//
// program: dynptr_global_function
// verdict: accept
#include "../record.h"

__noinline int length_of(const struct bpf_dynptr *any)
{
	struct bpf_dynptr part;

	bpf_dynptr_clone(any, &part);
	bpf_dynptr_adjust(&part, 1, 3);
	return bpf_dynptr_size(&part);
}

SEC("tc")
int dynptr_global_function(struct __sk_buff *skb)
{
	struct bpf_dynptr memory, packet;

	bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &memory);
	bpf_dynptr_from_skb(skb, 0, &packet);
	return length_of(&memory) + length_of(&packet);
}
