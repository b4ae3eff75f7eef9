/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What most scenarios start from: a per-CPU counter in the one slot of an array. */
#ifndef COUNTER_H
#define COUNTER_H

#include "kptrsim.h"

struct counter {
	long hits;
};

struct slot {
	struct counter __percpu_kptr *counter;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find(int index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

#endif
