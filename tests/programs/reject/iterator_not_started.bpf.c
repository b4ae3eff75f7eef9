// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_iter_num_next on a stack slot that no bpf_iter_num_new has prepared.
//
// program: iterator_not_started
// verdict: reject
// errno: EINVAL
// reason: expected an initialized iter_num as arg #0
// insn: 4
#include "../slot.h"

SEC("tc")
int iterator_not_started(struct __sk_buff *skb)
{
	struct bpf_iter_num it = {};

	bpf_iter_num_next(&it); // REJECT
	return 0;
}
