// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_percpu_obj_drop would give a plain object back to the per-CPU allocator.
//
// program: drop_plain_as_percpu
// verdict: reject
// errno: EINVAL
// reason: arg#0 expected for bpf_obj_drop_impl()
// insn: 7
#include "../slot.h"

SEC("tc")
int drop_plain_as_percpu(struct __sk_buff *skb)
{
	struct counts *p = bpf_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_percpu_obj_drop(p); // REJECT
	return 0;
}
