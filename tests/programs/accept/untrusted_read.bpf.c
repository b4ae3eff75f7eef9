// SPDX-License-Identifier: MIT OR Apache-2.0
// A sleepable program outside an RCU section may compare what it loads, and read through it at its own risk.
//
// program: untrusted_read
// verdict: accept
#include "../slot.h"

SEC("syscall")
int untrusted_read(void *ctx)
{
	struct slot *e = the_slot();
	struct counts *p;

	if (!e)
		return 0;
	p = (struct counts *)e->pc;
	if (!p)
		return 0;
	return p->hits;
}
