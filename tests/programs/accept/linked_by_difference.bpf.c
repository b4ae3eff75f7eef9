// SPDX-License-Identifier: MIT OR Apache-2.0
// What is learnt of a number is learnt of another that is said to be so much larger, the difference added.
//
// program: linked_by_difference
// verdict: accept
#include "../slot.h"

char buffer[24];

SEC("tc")
int linked_by_difference(struct __sk_buff *skb)
{
	unsigned long length = skb->len;
	unsigned long place;

	// Clang would compare what it uses.
	asm volatile("%[place] = %[length]\n"
		     "%[place] += 16\n"
		     : [place] "=&r"(place)
		     : [length] "r"(length));
	if (length > 7)
		return 0;
	return buffer[place - 16] + buffer[place];
}
