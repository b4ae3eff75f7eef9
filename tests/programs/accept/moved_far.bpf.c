// SPDX-License-Identifier: MIT OR Apache-2.0
// Pointers to the stack and to a value, moved by numbers so large that they could never be used, and not used.
//
// program: moved_far
// verdict: accept
#include "../slot.h"

long page[4];

SEC("tc")
int moved_far(struct __sk_buff *skb)
{
	asm volatile("r0 = %[page] ll\n"
		     "r1 = *(u64 *)(r0 + 0)\n"
		     "r1 = -r1\n"
		     "r1 >>= 1\n"
		     "r1 &= -2147483648\n"
		     "r2 = r1\n"
		     "r1 += r10\n"
		     "r2 += r0\n"
		     "r0 = 0\n"
		     :
		     : [page] "i"(page)
		     : "r0", "r1", "r2");
	return 0;
}
