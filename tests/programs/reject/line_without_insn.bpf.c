// SPDX-License-Identifier: MIT OR Apache-2.0
// A source line that starts at a slot with the opcode zero, as only the second half of a wide load has.
//
// program: line_without_insn
// verdict: reject
// errno: EINVAL
// reason: Invalid insn code at line_info[0].insn_off
#include "kptrsim.h"

SEC("tc")
__attribute__((naked)) int line_without_insn(void)
{
	asm volatile(".8byte 0; r0 = 0; exit;");
}

char _license[] SEC("license") = "GPL";
