// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 7. The slot was occupied
 *
 * A slot for notes, as in the last exercise, now with a program that moves a note from one slot to another. Every step is an
 * exchange, and every exchange gives something back.
 */
#include "kptrsim.h"

struct note {
	long length;
};

struct slot {
	struct note __kptr *note;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find_slot(int index)
{
	return bpf_map_lookup_elem(&slots, &index);
}

/* Puts a note with the packet's length into slot 0. */
SEC("tc")
int keep(struct __sk_buff *skb)
{
	struct slot *slot = find_slot(0);
	struct note *note;

	if (!slot)
		return 0;
	note = bpf_obj_new(struct note);
	if (!note)
		return 0;
	note->length = skb->len;
	note = bpf_kptr_xchg(&slot->note, note);
	if (note)
		bpf_obj_drop(note);
	return 1;
}

/* Moves the note of slot 0 into slot 1. Returns 1 if there was one. */
SEC("tc")
int archive(struct __sk_buff *skb)
{
	struct slot *from = find_slot(0), *to = find_slot(1);
	struct note *note;

	if (!from || !to)
		return 0;
	note = bpf_kptr_xchg(&from->note, NULL);
	if (!note)
		return 0;
	note = bpf_kptr_xchg(&to->note, note);
	if (note)
		bpf_obj_drop(note);
	return 1;
}

char _license[] SEC("license") = "GPL";
