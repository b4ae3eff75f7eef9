// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_obj_drop would give a per-CPU object back to the allocator of plain ones.
//
// program: drop_percpu_as_plain
// verdict: reject
// errno: EINVAL
// reason: arg#0 expected for bpf_percpu_obj_drop_impl()
// insn: 7
#include "../slot.h"

SEC("tc")
int drop_percpu_as_plain(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_obj_drop(p); // REJECT
	return 0;
}
