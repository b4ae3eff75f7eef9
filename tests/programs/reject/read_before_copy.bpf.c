// SPDX-License-Identifier: MIT OR Apache-2.0
// A negative offset reaches into the object that lies before this one.
//
// program: read_before_copy
// verdict: reject
// errno: EACCES
// reason: R0 is ptr_counts invalid negative access: off=-8
// insn: 11
#include "../slot.h"

SEC("tc")
int read_before_copy(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	long *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	return mine[-1]; // REJECT
}
