// SPDX-License-Identifier: MIT OR Apache-2.0
// What the verifier's rejection is good for: the second drop gives back memory that is not the program's any more.
//
// program: faulting_drop_twice
// verdict: reject
// errno: EINVAL
// reason: R1 must be referenced or trusted
// insn: 11
//
// cpus: 1 2 4 64
// run: faulting_drop_twice faults not-owned
#include "../slot.h"

SEC("tc")
int faulting_drop_twice(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	if (!p)
		return 0;
	bpf_percpu_obj_drop(p);
	bpf_percpu_obj_drop(p); // REJECT
	return 0;
}
