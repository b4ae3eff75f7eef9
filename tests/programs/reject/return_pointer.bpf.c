// SPDX-License-Identifier: MIT OR Apache-2.0
// The address of an object must not become the program's result.
//
// program: return_pointer
// verdict: reject
// errno: EINVAL
// reason: At program exit the register R0 is not a known value (percpu_rcu_ptr_or_null_)
// insn: 11
#include "../slot.h"

SEC("fentry/bpf_fentry_test1")
long return_pointer(void *ctx)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	return (long)e->pc;
} // REJECT
