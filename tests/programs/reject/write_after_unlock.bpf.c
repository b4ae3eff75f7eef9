// SPDX-License-Identifier: MIT OR Apache-2.0
// Reading a stale copy is guarded by the kernel; writing it would corrupt somebody else's memory.
//
// program: write_after_unlock
// verdict: reject
// errno: EACCES
// reason: only read is supported
// insn: 18
#include "../slot.h"

SEC("syscall")
int write_after_unlock(void *ctx)
{
	struct counts __percpu_kptr *p;
	struct slot *e = the_slot();
	struct counts *mine = NULL;

	if (!e)
		return 0;
	bpf_rcu_read_lock();
	p = e->pc;
	if (!p) {
		bpf_rcu_read_unlock();
		return 0;
	}
	mine = bpf_this_cpu_ptr(p);
	bpf_rcu_read_unlock();
	mine->hits = 1; // REJECT
	return 0;
}
