// SPDX-License-Identifier: MIT OR Apache-2.0
// Pointers into an arena are counted with in 32 bits, wherever they come from: what would go beyond is lost.
//
// program: arithmetic
// verdict: accept
//
// program: far
// verdict: accept
//
// cpus: 1 4
// run: arithmetic = 0
// run: far = 0
#include "kptrsim.h"

#define __arena __attribute__((address_space(1)))
#define PAGE 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__ulong(map_extra, (1ull << 44) + 16 * PAGE);
} arena SEC(".maps");

volatile u64 sum, difference, negative, through, number;
volatile u64 big = (1ull << 32) + 8;

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

/* As a program follows the pointer. */
#define cast(pointer) asm volatile("%0 = addr_space_cast(%0, 0, 1)" : "+r"(pointer))

static __noinline u64 add(u64 pointer, u64 count)
{
	asm volatile("%0 += %1" : "+r"(pointer) : "r"(count));
	return pointer;
}

SEC("syscall")
int arithmetic(void *ctx)
{
	u64 pointer, other, low;

	pointer = (u64)(void *)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	EXPECT(pointer);
	low = (u32)pointer;
	number = pointer + big;
	EXPECT(number >> 32 == (pointer >> 32) + 1);
	cast(pointer);
	other = pointer;
	asm volatile("%0 += %1" : "+r"(other) : "r"(big));
	sum = other;
	other = big;
	asm volatile("%0 -= %1" : "+r"(other) : "r"(pointer));
	difference = other;
	other = pointer;
	asm volatile("%0 ^= -1" : "+r"(other));
	negative = other;
	through = add(pointer, big);
	EXPECT(sum == low + 8);
	EXPECT(difference == (u32)(8 - low));
	EXPECT(negative == (u32)~low);
	EXPECT(through == low + 8);
	return 0;
}

SEC("syscall")
int far(void *ctx)
{
	u64 pointer, read = 0;

	pointer = (u64)(void *)bpf_arena_alloc_pages(&arena, NULL, 1, -1, 0);
	EXPECT(pointer);
	cast(pointer);
	asm volatile("*(u64 *)(%0 + 8) = 7" : : "r"(pointer) : "memory");
	asm volatile("%0 += %2; %1 = *(u64 *)(%0 + 0)" : "+r"(pointer), "=r"(read) : "r"(big) : "memory");
	EXPECT(read == 7);
	return 0;
}

char _license[] SEC("license") = "GPL";
