// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing changes from round to round: the verifier comes back to a state that it has already seen.
//
// program: loop_without_end
// verdict: reject
// errno: EINVAL
// reason: infinite loop detected at insn 9
// insn: 9
#include "../slot.h"

SEC("tc")
int loop_without_end(struct __sk_buff *skb)
{
	struct counts __percpu_kptr *p;

	for (;;) {
		p = bpf_percpu_obj_new(struct counts);
		if (p)
			bpf_percpu_obj_drop(p); // REJECT
		barrier();
	}
	return 0;
}
