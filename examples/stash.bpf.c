// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A per-CPU object inside an allocated object.
 *
 * An object from bpf_obj_new has one copy and may have members that own others, such as a __percpu_kptr. This program builds the
 * pair completely before anyone can see it, publishes the outer object, and what drops the outer one drops the inner one too.
 */
//
// program: open
// verdict: accept
//
// program: close
// verdict: accept
//
// cpus: 1 2 4 64
// run: open = 42
// run: open = 42
// run: close = 42
// run: close = 0
// leaks: 0
#include "kptrsim.h"

struct hits {
	long count;
};

struct session {
	long id;
	struct hits total;
	struct hits __percpu_kptr *hits;
};

struct slot {
	struct session unused;
	struct session __kptr *session;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static __always_inline struct slot *find_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

/* Returns the id of the session that it opened. */
SEC("tc")
int open(struct __sk_buff *skb)
{
	struct hits __percpu_kptr *hits, *none;
	struct slot *slot = find_slot();
	struct session *session;

	if (!slot)
		return 0;
	session = bpf_obj_new(struct session);
	if (!session)
		return 0;
	session->id = 42;
	hits = bpf_percpu_obj_new(struct hits);
	if (!hits) {
		bpf_obj_drop(session);
		return 0;
	}
	/* The inner object's owner is the outer one: from here on there is only one thing left to give back. */
	none = bpf_kptr_xchg(&session->hits, hits);
	if (none)
		bpf_percpu_obj_drop(none);
	session = bpf_kptr_xchg(&slot->session, session);
	if (session)
		bpf_obj_drop(session);
	return 42;
}

/* Takes the session out, and the hits out of the session: two objects, two owners, two drops. Returns the id. */
SEC("tc")
int close(struct __sk_buff *skb)
{
	struct hits __percpu_kptr *hits;
	struct slot *slot = find_slot();
	struct session *session;
	long id;

	if (!slot)
		return 0;
	session = bpf_kptr_xchg(&slot->session, NULL);
	if (!session)
		return 0;
	hits = bpf_kptr_xchg(&session->hits, NULL);
	id = session->id;
	bpf_obj_drop(session);
	if (hits)
		bpf_percpu_obj_drop(hits);
	return id;
}

char _license[] SEC("license") = "GPL";
