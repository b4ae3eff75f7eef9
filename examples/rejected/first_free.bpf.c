// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Finds the first free port of a range that the packet's mark begins, and marks it as taken.
 */
#include "kptrsim.h"

#define PORTS 512
#define RANGE 16

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PORTS);
	__type(key, __u32);
	__type(value, __u32);
} taken SEC(".maps");

SEC("tc")
int take_port(struct __sk_buff *skb)
{
	__u32 first = skb->mark % (PORTS - RANGE);
	struct bpf_iter_num ports;
	int *port;

	bpf_iter_num_new(&ports, first, first + RANGE);
	while ((port = bpf_iter_num_next(&ports))) {
		__u32 key = *port;
		__u32 *is_taken = bpf_map_lookup_elem(&taken, &key);

		if (is_taken && __sync_val_compare_and_swap(is_taken, 0, 1) == 0)
			return key;
	}
	bpf_iter_num_destroy(&ports);
	return -1;
}

char _license[] SEC("license") = "GPL";
