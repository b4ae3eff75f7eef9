// SPDX-License-Identifier: MIT OR Apache-2.0
// Pointers into an arena may be computed freely and followed without a check.
//
// program: pages
// verdict: accept
//
// program: global
// verdict: accept
//
// program: wild
// verdict: accept
#include "kptrsim.h"

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
} arena SEC(".maps");


u64 __arena total;

SEC("syscall")
int pages(void *ctx)
{
	u64 __arena *page = (u64 __arena *)bpf_arena_alloc_pages(&arena, 0, 1, -1, 0);

	if (!page)
		return 1;
	page[3] = 7;
	__sync_fetch_and_add(&page[4], 1);
	bpf_arena_free_pages(&arena, (void *)page, 1);
	return page[5];
}

SEC("tc")
int global(struct __sk_buff *skb)
{
	return total++;
}

SEC("syscall")
int wild(u64 *ctx)
{
	u64 __arena *somewhere = &total + ctx[0];

	return *somewhere;
}

char _license[] SEC("license") = "GPL";
