// SPDX-License-Identifier: MIT OR Apache-2.0
// Special fields have to be initialised and torn down, which per-CPU objects do not do.
//
// program: alloc_lock_member
// verdict: reject
// errno: EINVAL
// reason: bpf_percpu_obj_new type ID argument must not contain special fields
// insn: 3
#include "../slot.h"

struct with_lock {
	struct bpf_spin_lock lock;
	long hits;
};

SEC("tc")
int alloc_lock_member(struct __sk_buff *skb)
{
	struct with_lock __percpu_kptr *p = bpf_percpu_obj_new(struct with_lock); // REJECT

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}
