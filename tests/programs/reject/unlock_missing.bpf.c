// SPDX-License-Identifier: MIT OR Apache-2.0
// The early return leaves the section open.
//
// program: unlock_missing
// verdict: reject
// errno: EINVAL
// reason: bpf_rcu_read_unlock is missing
// insn: 16
#include "../slot.h"

SEC("syscall")
int unlock_missing(void *ctx)
{
	struct slot *e = the_slot();

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	if (!e->pc)
		return 1;
	bpf_rcu_read_unlock();
	return 0;
} // REJECT
