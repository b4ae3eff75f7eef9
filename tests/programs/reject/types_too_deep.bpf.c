// SPDX-License-Identifier: MIT OR Apache-2.0
// A struct in 32 others is too deep for the kernel, which then takes none of the program's types.
//
// program: types_too_deep
// verdict: reject
// errno: EINVAL
// reason: bpf_obj_new/bpf_percpu_obj_new requires prog BTF
// insn: 3
#include "kptrsim.h"

struct object {
	long value;
};

#define INSIDE(outer, inner) struct level##outer { struct level##inner member; };
struct level0 {
	int value;
};
INSIDE(1, 0) INSIDE(2, 1) INSIDE(3, 2) INSIDE(4, 3)
INSIDE(5, 4) INSIDE(6, 5) INSIDE(7, 6) INSIDE(8, 7)
INSIDE(9, 8) INSIDE(10, 9) INSIDE(11, 10) INSIDE(12, 11)
INSIDE(13, 12) INSIDE(14, 13) INSIDE(15, 14) INSIDE(16, 15)
INSIDE(17, 16) INSIDE(18, 17) INSIDE(19, 18) INSIDE(20, 19)
INSIDE(21, 20) INSIDE(22, 21) INSIDE(23, 22) INSIDE(24, 23)
INSIDE(25, 24) INSIDE(26, 25) INSIDE(27, 26) INSIDE(28, 27)
INSIDE(29, 28) INSIDE(30, 29) INSIDE(31, 30) INSIDE(32, 31)

struct level32 deep;

static __noinline int nothing(long number)
{
	return number != 1;
}

SEC("tc")
int types_too_deep(struct __sk_buff *skb)
{
	struct object *object = bpf_obj_new(struct object); // REJECT

	if (object)
		bpf_obj_drop(object);
	return nothing(1);
}

char _license[] SEC("license") = "GPL";
