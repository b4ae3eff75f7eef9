// SPDX-License-Identifier: MIT OR Apache-2.0
// A helper may not write into the copy: its prototype asks for memory, and this is an object.
//
// program: helper_fills_copy
// verdict: reject
// errno: EACCES
// reason: R1 type=rcu_ptr_ expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_
// insn: 14
#include "../slot.h"

SEC("tc")
int helper_fills_copy(struct __sk_buff *skb)
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
	bpf_probe_read_kernel(mine, sizeof(*mine), (void *)8); // REJECT
	return 0;
}
