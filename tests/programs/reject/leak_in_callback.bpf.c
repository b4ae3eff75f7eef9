// SPDX-License-Identifier: MIT OR Apache-2.0
// The callback has to give back what it took: the loop that calls it knows nothing of the object.
//
// program: leak_in_callback
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=11
// insn: 16
#include "../slot.h"

static int allocate(u32 round, void *context)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	return p == NULL; // REJECT
}

SEC("tc")
int leak_in_callback(struct __sk_buff *skb)
{
	bpf_loop(4, allocate, NULL, 0);
	return 0;
}
