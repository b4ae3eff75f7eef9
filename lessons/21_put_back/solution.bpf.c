// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 21. Put back where it was
 *
 * touch() takes the session out of its slot, counts in it, and puts it back: nobody else can see it meanwhile, so that
 * looks safe. replace() throws session 1 out, puts session 2 in its place, and then asks what is in the slot. Each of them
 * is right, nothing races, and nothing leaks. And there is one order in which replace() finds session 1 again, though it
 * has just replaced it: the two CPUs have to take turns three times, each time at just the right place.
 *
 * Run `kptrsim explore 21_put_back.toml` to see in how few of all runs that happens.
 */
#include "kptrsim.h"

struct session {
	long id;
	long touched;
};

struct slot {
	struct session __kptr *session;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

/* Puts a new session in the slot. Returns 1 if that worked. */
static int put(struct slot *slot, long id)
{
	struct session *session = bpf_obj_new(struct session);

	if (!session)
		return 0;
	session->id = id;
	session->touched = 0;
	session = bpf_kptr_xchg(&slot->session, session);
	if (session)
		bpf_obj_drop(session);
	return 1;
}

SEC("tc")
int begin(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();

	return slot ? put(slot, 1) : 0;
}

/* Counts that the session is in use. Returns 1 if there is one. */
SEC("tc")
int touch(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct session *session;

	if (!slot)
		return 0;
	session = slot->session;
	if (!session)
		return 0;
	__sync_fetch_and_add(&session->touched, 1);
	return 1;
}

/* Puts session 2 in the slot. Returns the id of the one that it finds there afterwards, or 0. */
SEC("tc")
int replace(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct session *session;

	if (!slot || !put(slot, 2))
		return 0;
	session = slot->session;
	return session ? session->id : 0;
}

/* Takes the session out and ends it. Returns how often it was touched. */
SEC("tc")
int finish(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct session *session;
	int touched;

	if (!slot)
		return 0;
	session = bpf_kptr_xchg(&slot->session, NULL);
	if (!session)
		return 0;
	touched = session->touched;
	bpf_obj_drop(session);
	return touched;
}

char _license[] SEC("license") = "GPL";
