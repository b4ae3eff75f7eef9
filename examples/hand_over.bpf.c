// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Handing over a full object for an empty one.
 *
 * Writers count into the object that the map holds. The collector puts a fresh object in its place with one bpf_kptr_xchg and
 * keeps the old one for itself: no writer is ever stopped, and no event is counted twice.
 *
 * The old object cannot be read right away: an owned per-CPU pointer gives no access to the copies
 * (tests/programs/reject/this_cpu_of_owned.bpf.c). So it is handed on to a second slot, and read there as a borrowed one.
 */
//
// program: rotate
// verdict: accept
//
// program: write
// verdict: accept
//
// program: collect
// verdict: accept
//
// cpus: 4 64
// set: nr_cpus=cpus
// run: write@0 = 0
// run: rotate@0 = 0
// run: write@0 = 1
// run: write@1 = 1
// run: write@1 = 2
// run: rotate@0 = 1
// run: write@2 = 1
// run: collect@0 = 3
// run: write@3 = 1
// run: rotate@0 = 1
// run: collect@0 = 5
// run: collect@0 = 5
// map: slots[0].total.count = 5
// leaks: 0
#include "kptrsim.h"

struct events {
	long count;
};

struct slot {
	struct events total;
	struct events __percpu_kptr *object;
};

enum { ACTIVE, RETIRED, SLOTS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

const volatile int nr_cpus;

static __always_inline struct slot *slot_of(int key)
{
	return bpf_map_lookup_elem(&slots, &key);
}

/* Puts a cleared object into the active slot, and what was there into the retired one. Returns 1 when something was. */
SEC("tc")
int rotate(struct __sk_buff *skb)
{
	struct slot *active = slot_of(ACTIVE), *retired = slot_of(RETIRED);
	struct events __percpu_kptr *fresh, *full;
	struct events *copy;
	int cpu;

	if (!active || !retired)
		return 0;
	fresh = bpf_percpu_obj_new(struct events);
	if (!fresh)
		return 0;

	/* Cleared while it is in the retired slot, where no writer looks, and only then made active. */
	full = bpf_kptr_xchg(&retired->object, fresh);
	if (full)
		bpf_percpu_obj_drop(full);
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(fresh, cpu);
		if (!copy)
			break;
		copy->count = 0;
	}
	fresh = bpf_kptr_xchg(&retired->object, NULL);
	if (!fresh)
		return 0;

	full = bpf_kptr_xchg(&active->object, fresh);
	if (!full)
		return 0;
	full = bpf_kptr_xchg(&retired->object, full);
	if (full)
		bpf_percpu_obj_drop(full);
	return 1;
}

SEC("tc")
int write(struct __sk_buff *skb)
{
	struct slot *active = slot_of(ACTIVE);
	struct events __percpu_kptr *events;
	struct events *mine;

	if (!active)
		return 0;
	events = active->object;
	if (!events)
		return 0;
	mine = bpf_this_cpu_ptr(events);
	return ++mine->count;
}

/* Adds the retired object's counts to the total and drops it. Returns the total. */
SEC("tc")
int collect(struct __sk_buff *skb)
{
	struct slot *active = slot_of(ACTIVE), *retired = slot_of(RETIRED);
	struct events __percpu_kptr *events, *full;
	struct events *copy;
	int cpu;

	if (!active || !retired)
		return 0;
	events = retired->object;
	if (!events)
		return active->total.count;
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(events, cpu);
		if (!copy)
			break;
		active->total.count += copy->count;
	}
	full = bpf_kptr_xchg(&retired->object, NULL);
	if (full)
		bpf_percpu_obj_drop(full);
	return active->total.count;
}

char _license[] SEC("license") = "GPL";
