// SPDX-License-Identifier: MIT OR Apache-2.0
/* A mistake that was made once, and that a test holds on to: the old object is not dropped. */
#include "kptrsim.h"

struct seen {
	long admitted;
	long refused;
};

struct slot {
	struct seen total;
	struct seen __percpu_kptr *live;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

SEC("tc")
int replace(struct __sk_buff *skb)
{
	struct seen __percpu_kptr *fresh;
	struct slot *slot;
	int key = 0;

	slot = bpf_map_lookup_elem(&slots, &key);
	if (!slot)
		return 0;
	fresh = bpf_percpu_obj_new(struct seen);
	if (!fresh)
		return 0;
	bpf_kptr_xchg(&slot->live, fresh);
	return 1;
}

char _license[] SEC("license") = "GPL";
