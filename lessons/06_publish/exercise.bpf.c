// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 6. Handing an object to a map
 *
 * A pointer in a map value that owns what it points to is called a kptr and is tagged __kptr. As other CPUs may look at
 * the map at any moment, such a field is never simply written. bpf_kptr_xchg(&field, new) swaps, in one step: the map gets
 * the new object, and owns it from then on; the program gets what was there before, or NULL, and owns that.
 *
 * take() shows it: exchanging with NULL empties the field.
 *
 * TODO: publish the note in keep(). Whatever was in the slot before is yours then: drop it, if there was anything.
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
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

/* Keeps the packet's length for later. */
SEC("tc")
int keep(struct __sk_buff *skb)
{
	int key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);
	struct note *note;

	if (!slot)
		return 0;
	note = bpf_obj_new(struct note);
	if (!note)
		return 0;
	note->length = skb->len;
	slot->note = note;
	return 1;
}

/* Takes what was kept out of the map. Returns its length, or 0. */
SEC("tc")
int take(struct __sk_buff *skb)
{
	int key = 0;
	struct slot *slot = bpf_map_lookup_elem(&slots, &key);
	struct note *note;
	int length;

	if (!slot)
		return 0;
	note = bpf_kptr_xchg(&slot->note, NULL);
	if (!note)
		return 0;
	length = note->length;
	bpf_obj_drop(note);
	return length;
}

char _license[] SEC("license") = "GPL";
