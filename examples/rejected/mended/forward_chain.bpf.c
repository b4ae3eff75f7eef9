// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Follows rules that forward one mark to another, from the lower half of the packet's mark on, and gives the packet the end of the
 * chain as its priority.
 *
 * User space fills the map, and sees to it that chains are short: of a longer one, MOST links are followed.
 */
#include "kptrsim.h"

#define LOWEST 65536
#define MOST 32

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
	int link;

	bpf_for(link, 0, MOST) {
		next = bpf_map_lookup_elem(&forward, &mark);
		if (!next)
			break;
		mark = *next;
	}
	skb->priority = mark;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
