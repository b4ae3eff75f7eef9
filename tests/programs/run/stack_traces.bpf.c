// SPDX-License-Identifier: MIT OR Apache-2.0
// Stack traces of a raw tracepoint's program: a frame for each of its functions, then six of the kernel's. Equal traces
// have one number.
//
// program: depths
// verdict: accept
//
// program: numbers
// verdict: accept
//
// program: refusals
// verdict: accept
//
// cpus: 1 4
// run: depths = 0
// run: numbers = 0
// run: refusals = 0
#include "kptrsim.h"

#define USER (1 << 8)
#define BUILD_ID (1 << 11)
#define BELOW 6

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 64);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 20 * sizeof(u64));
} traces SEC(".maps");

u64 stack[20];

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

static __noinline long deeper(void *ctx)
{
	long size = bpf_get_stack(ctx, stack, sizeof(stack), 0);

	return size + (long)sizeof(u64) * (stack[2] == 0);
}

SEC("raw_tp")
int depths(void *ctx)
{
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), 0) == 8 * (1 + BELOW));
	EXPECT(stack[0] && stack[BELOW] && !stack[BELOW + 1]);
	EXPECT(deeper(ctx) == 8 * (2 + BELOW));
	EXPECT(bpf_get_stack(ctx, stack, 3 * sizeof(u64), 0) == 3 * 8);
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), BELOW) == 8);
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), 1 + BELOW) == 0 && !stack[0]);
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), USER) >= 8 && stack[0] && stack[0] >> 47 == 0);
	return 0;
}

SEC("raw_tp")
int numbers(void *ctx)
{
	long first = -1, number;
	int i;

	/* One call, and so one trace. */
#pragma clang loop unroll(disable)
	for (i = 0; i < 3; i++) {
		number = bpf_get_stackid(ctx, &traces, 0);
		EXPECT(number >= 0 && number < 64 && (first < 0 || first == number));
		first = number;
	}
	EXPECT(bpf_get_stackid(ctx, &traces, 1 + BELOW) == -14);
	EXPECT(bpf_get_stackid(ctx, &traces, 1 << 11) == -22);
	return 0;
}

SEC("raw_tp")
int refusals(void *ctx)
{
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), 2 + BELOW) == -14);
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack) - 1, 0) == -22);
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), BUILD_ID) == -22);
	EXPECT(bpf_get_stack(ctx, stack, sizeof(stack), 1 << 9) == -22);
	EXPECT(bpf_get_stack(ctx, stack, 40, USER | BUILD_ID) == -22 && !stack[0]);
	return 0;
}

char _license[] SEC("license") = "GPL";
