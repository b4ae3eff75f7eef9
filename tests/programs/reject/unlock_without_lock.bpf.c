// SPDX-License-Identifier: MIT OR Apache-2.0
// There is no section to leave.
//
// program: unlock_without_lock
// verdict: reject
// errno: EINVAL
// reason: unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)
// insn: 0
#include "../slot.h"

SEC("syscall")
int unlock_without_lock(void *ctx)
{
	bpf_rcu_read_unlock(); // REJECT
	return 0;
}
