// SPDX-License-Identifier: MIT OR Apache-2.0
// RCU sections do not nest in a BPF program.
//
// program: lock_twice
// verdict: reject
// errno: EINVAL
// reason: nested rcu read lock (kernel function bpf_rcu_read_lock)
// insn: 1
#include "../slot.h"

SEC("syscall")
int lock_twice(void *ctx)
{
	bpf_rcu_read_lock();
	bpf_rcu_read_lock(); // REJECT
	bpf_rcu_read_unlock();
	bpf_rcu_read_unlock();
	return 0;
}
