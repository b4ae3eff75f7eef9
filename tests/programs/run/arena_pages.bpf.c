// SPDX-License-Identifier: MIT OR Apache-2.0
// Pages of an arena: where they come from, what is read where there is none, and pointers in them. The arena does not
// begin at a multiple of 4 GiB, so that casting the address of its first page does not give NULL.
//
// program: pages
// verdict: accept
//
// cpus: 1 4
// run: pages = 0
#include "kptrsim.h"

#define __arena __attribute__((address_space(1)))
#define PAGE 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 4);
	__ulong(map_extra, (1ull << 44) + 16 * PAGE);
} arena SEC(".maps");

struct node {
	struct node __arena *next;
	long value;
};

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

static __always_inline char __arena *allocate(void __arena *at, u32 count)
{
	return (char __arena *)bpf_arena_alloc_pages(&arena, (void *)at, count, -1, 0);
}

SEC("syscall")
int pages(void *ctx)
{
	volatile char __arena *first, *third;
	struct node __arena *node;
	char __arena *page;

	EXPECT(!allocate(NULL, 5));
	EXPECT(!allocate(NULL, 0));
	page = allocate(NULL, 1);
	EXPECT(page);
	first = page;
	*first = 7;
	EXPECT(first[PAGE] == 0);
	first[PAGE] = 1;
	EXPECT(first[PAGE] == 0);
	EXPECT(!allocate(page, 1));
	third = allocate(page + 2 * PAGE, 1);
	EXPECT(third && third - first == 2 * PAGE);
	EXPECT(!allocate(NULL, 2));
	EXPECT(allocate(NULL, 1) == page + PAGE);
	EXPECT(first[PAGE] == 0 && *first == 7);
	node = (struct node __arena *)(page + PAGE);
	node->next = (struct node __arena *)(page + 2 * PAGE);
	node->next->value = 5;
	EXPECT(((struct node __arena *)third)->value == 5);
	bpf_arena_free_pages(&arena, (void *)page, 2);
	EXPECT(*first == 0 && third[8] == 5);
	EXPECT(allocate(NULL, 2) == page && *first == 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
