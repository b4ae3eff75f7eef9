// SPDX-License-Identifier: MIT OR Apache-2.0
// Two faults: code that nothing reaches, and a function that does not sleep. The control flow is looked at first.
//
// program: unreachable_before_attachment
// verdict: reject
// errno: EINVAL
// reason: unreachable insn 1
#include "../slot.h"

SEC("fentry.s/inet_csk_accept")
__attribute__((naked)) int unreachable_before_attachment(void)
{
	asm volatile("goto +1; r0 = 1; r0 = 0; exit");
}
