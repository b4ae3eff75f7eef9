// SPDX-License-Identifier: MIT OR Apache-2.0
// What the compiler makes of ordinary arithmetic: signed and unsigned division, shifts, byte order, 32-bit wrap-around.
//
// program: arithmetic
// verdict: accept
//
// cpus: 1
// run: arithmetic = -142
// global: signed_quotient = -142
// global: signed_remainder = -6
// global: wrapped = 16
// global: swapped = 0xf0ffffff
// global: arithmetic_shift = -16
// global: logical_shift = 15
// global: product = 0xffffffe000000100
// leaks: 0
//
// cpus: 1
// set: dividend=1000
// set: divisor=-3
// run: arithmetic = -1
// leaks: 0
#include "kptrsim.h"

int dividend = -1000, divisor = 7;
unsigned int large = 0xfffffff0;
long wide = -1;

int signed_quotient, signed_remainder;
unsigned int wrapped, swapped;
long arithmetic_shift;
unsigned long logical_shift, product;

SEC("tc")
int arithmetic(struct __sk_buff *skb)
{
	int negative = dividend < 0;
	unsigned int size = negative ? -dividend : dividend;

	if (divisor <= 0)
		return -1;
	signed_quotient = negative ? -(int)(size / divisor) : size / divisor;
	signed_remainder = negative ? -(int)(size % divisor) : size % divisor;
	wrapped = large + 0x20;
	swapped = __builtin_bswap32(large);
	arithmetic_shift = (wide << 8) >> 4;
	logical_shift = (unsigned long)wide >> 60;
	product = (unsigned long)large * large;
	return signed_quotient;
}

char _license[] SEC("license") = "GPL";
