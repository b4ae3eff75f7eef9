// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Opens a session for the first packet of a mark, and keeps it in a map for the programs that come later.
 *
 * A packet without a payload opens none.
 */
#include "kptrsim.h"

#define HEADERS 54

struct session {
	__u64 opened_at;
	__u32 mark;
	__u32 first_length;
};

struct slot {
	struct session __kptr *session;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct slot);
} sessions SEC(".maps");

SEC("tc")
int open_session(struct __sk_buff *skb)
{
	__u32 key = skb->mark % 256;
	struct session *session, *old;
	struct slot *slot;

	session = bpf_obj_new(struct session);
	if (!session)
		return TC_ACT_OK;
	session->opened_at = bpf_ktime_get_ns();
	session->mark = skb->mark;
	session->first_length = skb->len;

	if (skb->len <= HEADERS)
		return TC_ACT_OK;

	slot = bpf_map_lookup_elem(&sessions, &key);
	if (!slot) {
		bpf_obj_drop(session);
		return TC_ACT_OK;
	}
	old = bpf_kptr_xchg(&slot->session, session);
	if (old)
		bpf_obj_drop(old);
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
