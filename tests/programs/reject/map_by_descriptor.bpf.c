// SPDX-License-Identifier: MIT OR Apache-2.0
// A map by the number of a file that no loader has open.
//
// program: map_by_descriptor
// verdict: reject
// errno: EBADF
// reason: fd 4095 is not pointing to valid bpf_map
#include "../slot.h"

SEC("tc")
__attribute__((naked)) int map_by_descriptor(void)
{
	/* r1 = map[fd:4095] */
	asm volatile(".byte 0x18, 0x11; .short 0; .long 4095; .8byte 0; r0 = 0; exit");
}
