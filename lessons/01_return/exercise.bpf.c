// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 1. A program returns something
 *
 * A BPF program is a C function that the kernel calls when something happens: SEC("tc") means on every network packet.
 * Since it runs inside the kernel, the kernel lets it in only after the verifier has walked through its machine code,
 * on every path, and found nothing wrong.
 *
 * The machine has eleven registers. R1 holds the function's argument when the program starts, R0 must hold the return
 * value when it ends, R10 points to the stack. A register that nothing was written to may hold anything, kernel
 * addresses included, so reading it is not allowed, and returning reads R0.
 *
 * TODO: the function promises an int. Return 0, which lets the packet pass.
 */
#include "kptrsim.h"

long packets;

SEC("tc")
int count(struct __sk_buff *skb)
{
	packets++;
}

char _license[] SEC("license") = "GPL";
