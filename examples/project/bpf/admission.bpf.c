// SPDX-License-Identifier: MIT OR Apache-2.0
/* Lets the first `limit` packets through, on whatever CPU they come, and keeps count for each CPU. */
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

/* Set before the program is loaded. */
const volatile int limit;

int taken;

static __always_inline struct slot *the_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

SEC("tc")
int setup(struct __sk_buff *skb)
{
	struct seen __percpu_kptr *fresh;
	struct slot *slot = the_slot();

	if (!slot)
		return 0;
	fresh = bpf_percpu_obj_new(struct seen);
	if (!fresh)
		return 0;
	fresh = bpf_kptr_xchg(&slot->live, fresh);
	if (fresh)
		bpf_percpu_obj_drop(fresh);
	return 1;
}

/* Returns 1 for a packet that may pass. */
SEC("tc")
int admit(struct __sk_buff *skb)
{
	struct slot *slot = the_slot();
	struct seen __percpu_kptr *live;
	struct seen *mine;
	int passes;

	/* Taken and counted in one step: two CPUs never get the same number. */
	passes = __sync_fetch_and_add(&taken, 1) < limit;
	if (!slot)
		return passes;
	live = slot->live;
	if (!live)
		return passes;
	mine = bpf_this_cpu_ptr(live);
	if (passes)
		mine->admitted++;
	else
		mine->refused++;
	return passes;
}

/* How it was written first. Two CPUs may both read the count before either of them raises it. */
SEC("tc")
int admit_racy(struct __sk_buff *skb)
{
	if (taken >= limit)
		return 0;
	taken++;
	return 1;
}

char _license[] SEC("license") = "GPL";
