// SPDX-License-Identifier: MIT OR Apache-2.0
// Preemption was switched off to stay on one CPU, and never on again.
//
// program: preempt_left_off
// verdict: reject
// errno: EINVAL
// reason: 1 bpf_preempt_enable is missing
// insn: 12
#include "../slot.h"

SEC("syscall")
int preempt_left_off(void *ctx)
{
	struct slot *e = the_slot();

	bpf_preempt_disable();
	if (!e)
		return 0;
	bpf_preempt_enable();
	return 0;
} // REJECT
