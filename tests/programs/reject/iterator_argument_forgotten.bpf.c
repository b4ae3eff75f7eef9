// SPDX-License-Identifier: MIT OR Apache-2.0
// A call overwrites r1 to r5. Of a register that nothing was written to, a kfunc is told an unknown offset.
//
// program: iterator_argument_forgotten
// verdict: reject
// errno: EACCES
// reason: variable ? access var_off=(0x0; 0xffffffffffffffff) disallowed
// insn: 6
#include "../slot.h"

SEC("tc")
int iterator_argument_forgotten(struct __sk_buff *skb)
{
	struct bpf_iter_num it;

	bpf_iter_num_new(&it, 0, 3);
	asm volatile("call %[destroy]" ::[destroy] "i"(bpf_iter_num_destroy) // REJECT
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	bpf_iter_num_destroy(&it);
	return 0;
}
