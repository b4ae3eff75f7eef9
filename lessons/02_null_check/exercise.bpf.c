// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 2. A pointer that may be NULL
 *
 * Maps are where BPF programs keep things from one call to the next. bpf_map_lookup_elem() gives a pointer to an element's
 * value, or NULL if there is no such element. Following NULL would crash the kernel, so the verifier calls the
 * result map_value_or_null until the program has compared it with NULL. On the side of the comparison where it is not
 * NULL it becomes a map_value, which may be read and written.
 *
 * You know that an array with one element has an element 0. The verifier goes by the helper's description alone.
 *
 * TODO: check the pointer before using it; return 0 if there is nothing to count in.
 */
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long);
} counters SEC(".maps");

/* Returns how many packets there were so far. */
SEC("tc")
int count(struct __sk_buff *skb)
{
	int key = 0;
	long *counter = bpf_map_lookup_elem(&counters, &key);

	*counter += 1;
	return *counter;
}

char _license[] SEC("license") = "GPL";
