// SPDX-License-Identifier: MIT OR Apache-2.0
// A may_goto whose unused field is set still leads to two places, and is refused when a path comes to it.
//
// program: may_goto_with_immediate
// verdict: reject
// errno: EINVAL
// reason: invalid may_goto off 1 imm 7
// insn: 1
#include "../slot.h"

SEC("tc")
__attribute__((naked)) int may_goto_with_immediate(void)
{
	/* may_goto +1, with an immediate of 7 */
	asm volatile("r0 = 0; .byte 0xe5, 0x00; .short 1; .long 7; r0 = 1; exit"); // REJECT
}
