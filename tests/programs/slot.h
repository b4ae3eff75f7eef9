/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What most test programs start from: an array map with one element, which can hold one per-CPU object. A program
 * that is about something else (another map, another struct, no licence) declares that itself.
 */
#ifndef SLOT_H
#define SLOT_H

#include "kptrsim.h"

struct counts {
	long hits;
	long bytes;
	long drops;
};

/*
 * `total` is where a program may add up the CPUs' copies. It also makes clang write struct counts out in full: a struct
 * that only a member's pointer mentions is a mere name in BTF, and the kernel then sees no kptr in the field.
 */
struct slot {
	struct counts total;
	struct counts __percpu_kptr *pc;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static __always_inline struct slot *the_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

#ifndef LICENSE
#define LICENSE "GPL"
#endif
char _license[] SEC("license") = LICENSE;

#endif
