// SPDX-License-Identifier: MIT OR Apache-2.0
// A number that is 0 or -1 is masked: the verifier goes on with each of the two on its own.
//
// program: sign_mask
// verdict: accept
//
// cpus: 1 2
// run: sign_mask = 0
// run: sign_mask = 31
// run: sign_mask = 0
#include "kptrsim.h"

int runs;

SEC("syscall")
int sign_mask(void *ctx)
{
	long sign = -(long)(runs++ & 1);

	/* Whatever the compiler knows of the sign, these two instructions stay as they are. */
	asm volatile("%0 s>>= 63\n\t%0 &= 31" : "+r"(sign));
	return (int)sign;
}

char _license[] SEC("license") = "GPL";
