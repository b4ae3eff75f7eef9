// SPDX-License-Identifier: MIT OR Apache-2.0
// An fentry program's result is fixed to 0.
//
// program: fentry_returns_count
// verdict: reject
// errno: EINVAL
// reason: At program exit the register R0 has smin=0 smax=4294967295 should have been in [0, 0]
// insn: 13
#include "../slot.h"

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(fentry_returns_count) // REJECT
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine;

	if (!e)
		return 0;
	p = e->pc;
	if (!p)
		return 0;
	mine = bpf_this_cpu_ptr(p);
	return mine->hits;
}
