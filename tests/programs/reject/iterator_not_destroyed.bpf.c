// SPDX-License-Identifier: MIT OR Apache-2.0
// The iterator is an obligation like any other.
//
// program: iterator_not_destroyed
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=1 alloc_insn=6
// insn: 19
#include "../slot.h"

SEC("tc")
int iterator_not_destroyed(struct __sk_buff *skb)
{
	struct bpf_iter_num it;
	int *now;
	long sum = 0;

	bpf_iter_num_new(&it, 0, 4);
	while ((now = bpf_iter_num_next(&it)))
		sum += *now;
	return sum; // REJECT
}
