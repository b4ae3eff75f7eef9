// SPDX-License-Identifier: MIT OR Apache-2.0
// One field past the end of the copy lies in no object of this program's.
//
// program: faulting_read_past_copy
// verdict: reject
// errno: EACCES
// reason: access beyond struct counts at off 24 size 8
// insn: 25
//
// cpus: 1 2 4 64
// run: faulting_read_past_copy faults out-of-bounds
#include "../slot.h"

SEC("tc")
int faulting_read_past_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	long *mine;

	if (!e)
		return 0;
	p = bpf_percpu_obj_new(struct counts);
	if (!p)
		return 0;
	p = bpf_kptr_xchg(&e->pc, p);
	if (p)
		bpf_percpu_obj_drop(p);
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	return mine[3]; // REJECT
}
