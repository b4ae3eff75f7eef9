// SPDX-License-Identifier: MIT OR Apache-2.0
// Parameters of a naked function have no names in BTF, whatever the source says: the kernel refuses the program's types,
// without which nothing can be allocated.
//
// program: parameter_without_name
// verdict: reject
// errno: EINVAL
// reason: bpf_obj_new/bpf_percpu_obj_new requires prog BTF
// insn: 3
#include "kptrsim.h"

struct object {
	long value;
};

__attribute__((naked)) static int nothing(long number)
{
	asm volatile("r0 = 0; exit;");
}

SEC("tc")
int parameter_without_name(struct __sk_buff *skb)
{
	struct object *object = bpf_obj_new(struct object); // REJECT

	if (object)
		bpf_obj_drop(object);
	return nothing(1);
}

char _license[] SEC("license") = "GPL";
