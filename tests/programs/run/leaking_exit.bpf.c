// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing faults, and one object is left that nobody can reach.
//
// program: leaking_exit
// verdict: reject
// errno: EINVAL
// reason: Unreleased reference id=2 alloc_insn=3
// insn: 8
//
// cpus: 1 2 4 64
// run: leaking_exit = 1
// leaks: 1
#include "../slot.h"

SEC("tc")
int leaking_exit(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);

	return p != NULL; // REJECT
}
