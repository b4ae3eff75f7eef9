// SPDX-License-Identifier: MIT OR Apache-2.0
// The address of a kernel symbol without a type is a number, and one may compute with it.
//
// program: symbol_address
// verdict: accept
#include "../slot.h"

extern const void bpf_link_fops __ksym;

unsigned long seen;

SEC("syscall")
int symbol_address(void *ctx)
{
	unsigned long address = (unsigned long)&bpf_link_fops;

	seen = address * 3 + 5;
	return seen >> 40 & 1;
}
