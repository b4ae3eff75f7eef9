// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 17. A leak that the verifier cannot see
 *
 * The verifier knows what a program owns, and sees to it that all of it is passed on or dropped. Passing it on to a map is
 * fine, always: what becomes of it there is for other programs to say, and the verifier judges each program alone.
 *
 * Here a new session puts the old one aside, in case it is needed again. stop() is called at the end and should leave
 * nothing behind. Each program is in order, and yet memory stays occupied until the map itself is deleted.
 *
 * TODO: see what is still owned after the run, and mend it.
 */
#include "kptrsim.h"

struct session {
	long id;
};

struct slot {
	struct session __kptr *current;
	struct session __kptr *spare;
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

/* Begins a session and puts the one before aside. */
SEC("tc")
int begin(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct session *session;

	if (!slot)
		return 0;
	session = bpf_obj_new(struct session);
	if (!session)
		return 0;
	session->id = skb->len;
	session = bpf_kptr_xchg(&slot->current, session);
	if (!session)
		return 1;
	session = bpf_kptr_xchg(&slot->spare, session);
	if (session)
		bpf_obj_drop(session);
	return 1;
}

/* Ends everything. Returns 1 if there was a session. */
SEC("tc")
int stop(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct session *session;

	if (!slot)
		return 0;
	session = bpf_kptr_xchg(&slot->current, NULL);
	if (!session)
		return 0;
	bpf_obj_drop(session);
	return 1;
}

char _license[] SEC("license") = "GPL";
