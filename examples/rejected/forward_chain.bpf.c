// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Follows rules that forward one mark to another, from the lower half of the packet's mark on, and gives the packet the end of the
 * chain as its priority.
 *
 * User space fills the map, and sees to it that chains are short.
 */
#include "kptrsim.h"

#define LOWEST 65536

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u32);
} forward SEC(".maps");

SEC("tc")
int follow(struct __sk_buff *skb)
{
	__u32 mark = skb->mark % LOWEST;
	__u32 *next;

	while ((next = bpf_map_lookup_elem(&forward, &mark)))
		mark = *next;
	skb->priority = mark;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
