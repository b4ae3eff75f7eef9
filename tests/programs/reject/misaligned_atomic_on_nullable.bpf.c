// SPDX-License-Identifier: MIT OR Apache-2.0
// An atomic operation off its boundary, on a map's value that was not compared with NULL: alignment is looked at first, and the kernel
// has no name for such memory.
//
// program: misaligned_atomic_on_nullable
// verdict: reject
// errno: EACCES
// reason: misaligned access off 0+0+1 size 8
// insn: 8
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long[2]);
} numbers SEC(".maps");

SEC("tc")
int misaligned_atomic_on_nullable(void *ctx)
{
	int key = 0;
	char *number = bpf_map_lookup_elem(&numbers, &key);

	__sync_fetch_and_add((long *)(number + 1), 1); // REJECT
	return 0;
}

char _license[] SEC("license") = "GPL";
