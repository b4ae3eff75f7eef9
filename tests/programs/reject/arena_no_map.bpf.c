// SPDX-License-Identifier: MIT OR Apache-2.0
// The arena is named by its map.
//
// program: no_map
// verdict: reject
// errno: EINVAL
// reason: pointer in R1 isn't map pointer
// insn: 2
#include "kptrsim.h"

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
} arena SEC(".maps");


SEC("syscall")
int no_map(void *ctx)
{
	bpf_arena_free_pages(ctx, 0, 1); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
