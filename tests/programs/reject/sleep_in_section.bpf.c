// SPDX-License-Identifier: MIT OR Apache-2.0
// Copying from user memory may fault and sleep, and a sleeper would hold up every grace period.
//
// program: sleep_in_section
// verdict: reject
// errno: EINVAL
// reason: sleepable helper bpf_copy_from_user#148 in rcu_read_lock region
// insn: 7
#include "../slot.h"

SEC("syscall")
int sleep_in_section(void *ctx)
{
	long value = 0;

	bpf_rcu_read_lock();
	bpf_copy_from_user(&value, sizeof(value), (void *)8); // REJECT
	bpf_rcu_read_unlock();
	return value;
}
