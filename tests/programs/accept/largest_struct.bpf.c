// SPDX-License-Identifier: MIT OR Apache-2.0
// Exactly 512 bytes, four structs deep, with arrays, an enumeration, a union and bit-fields.
//
// program: largest_struct
// verdict: accept
#include "kptrsim.h"

enum colour { RED, GREEN, BLUE };

struct largest {
	struct {
		struct {
			struct {
				long deep;
			} d;
			int numbers[10];
		} c;
		union {
			long whole;
			int half;
		} either;
	} b;
	enum colour colour;
	unsigned int few : 3, many : 29;
	char rest[448];
};
_Static_assert(sizeof(struct largest) == 512, "the kernel's limit");

SEC("tc")
int largest_struct(struct __sk_buff *skb)
{
	struct largest __percpu_kptr *p = bpf_percpu_obj_new(struct largest);

	if (p)
		bpf_percpu_obj_drop(p);
	return 0;
}

char _license[] SEC("license") = "GPL";
