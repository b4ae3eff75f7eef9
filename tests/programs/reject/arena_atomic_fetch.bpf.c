// SPDX-License-Identifier: MIT OR Apache-2.0
// The machine has no bitwise atomic operation that gives the arena's old value.
//
// program: fetch_or
// verdict: reject
// errno: EACCES
// reason: BPF_ATOMIC stores into R1 arena is not allowed
// insn: 4
#include "kptrsim.h"

#define __arena __attribute__((address_space(1)))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 10);
} arena SEC(".maps");


u64 __arena bits;

SEC("syscall")
int fetch_or(void *ctx)
{
	return __sync_fetch_and_or(&bits, 1); // REJECT
}

char _license[] SEC("license") = "GPL";
