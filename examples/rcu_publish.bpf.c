// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Publish, read and free in a sleepable program.
 *
 * Programs that may sleep do not run in an RCU section, so they open one where they need it. The rules, each of which has
 * programs under tests/programs/reject/ that break it:
 *
 *  - A pointer loaded from the map inside a section is borrowed until the section ends.
 *  - Loaded outside, it is untrusted: the object may be freed at any moment.
 *  - An owned pointer needs no section: nobody else can free what only we know.
 *  - Nothing inside a section may sleep, and sections do not nest.
 */
//
// program: publish
// verdict: accept
//
// program: read_limit
// verdict: accept
//
// program: withdraw
// verdict: accept
//
// cpus: 4 64
// set: nr_cpus=cpus
// run: read_limit@0 = 0
// run: publish@0 = 1
// run: read_limit@3 = 100
// run: publish@1 = 1
// run: read_limit@1 = 100
// run: withdraw@0 = 1
// run: read_limit@0 = 0
// run: withdraw@0 = 0
// leaks: 0
#include "kptrsim.h"

struct settings {
	long limit;
	long burst;
};

struct published {
	struct settings first;
	struct settings __percpu_kptr *current;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct published);
} published SEC(".maps");

const volatile int nr_cpus;
long new_limit = 100;

/* Replaces the settings by new ones. Readers see the old object or the new one, never a mixture of allocations. */
SEC("syscall")
int publish(void *ctx)
{
	struct settings __percpu_kptr *fresh, *old;
	struct settings *copy;
	struct published *e;
	int key = 0, cpu;

	e = bpf_map_lookup_elem(&published, &key);
	if (!e)
		return 0;

	/* Allocating needs no section. */
	fresh = bpf_percpu_obj_new(struct settings);
	if (!fresh)
		return 0;

	bpf_rcu_read_lock();
	old = bpf_kptr_xchg(&e->current, fresh);
	/*
	 * The map owns the object now. Because the exchange happened inside a section, `fresh` is not forgotten but
	 * borrowed, and its copies can be filled in.
	 */
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(fresh, cpu);
		if (!copy)
			break;
		copy->limit = new_limit;
		copy->burst = 2 * new_limit;
	}
	bpf_rcu_read_unlock();

	/* `old` is owned, which outlives the section. Readers that still look at it keep its memory, not us. */
	if (old)
		bpf_percpu_obj_drop(old);
	return 1;
}

/* Returns this CPU's limit, or 0 if nothing is published. */
SEC("syscall")
int read_limit(void *ctx)
{
	struct settings __percpu_kptr *current;
	struct published *e;
	struct settings *mine;
	long limit = 0;
	int key = 0;

	e = bpf_map_lookup_elem(&published, &key);
	if (!e)
		return 0;

	bpf_rcu_read_lock();
	current = e->current;
	if (current) {
		mine = bpf_this_cpu_ptr(current);
		/* What outlives the section is the number, not the pointer. */
		limit = mine->limit;
	}
	bpf_rcu_read_unlock();
	return limit;
}

/* Takes the settings away. Returns 1 when there were any. */
SEC("syscall")
int withdraw(void *ctx)
{
	struct settings __percpu_kptr *old;
	struct published *e;
	int key = 0;

	e = bpf_map_lookup_elem(&published, &key);
	if (!e)
		return 0;
	old = bpf_kptr_xchg(&e->current, NULL);
	if (!old)
		return 0;
	bpf_percpu_obj_drop(old);
	return 1;
}

char _license[] SEC("license") = "GPL";
