// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 8. Gone is gone
 *
 * After bpf_obj_drop() the object is no longer the program's, and all that pointed to it is worthless. The verifier forgets
 * what each copy of the pointer was: they are plain numbers from there on, and a number cannot be followed.
 */
#include "kptrsim.h"

struct note {
	long length;
	long priority;
};

/* Returns how important a packet is: its priority, and one more if it is long. */
SEC("tc")
int importance(struct __sk_buff *skb)
{
	struct note *note = bpf_obj_new(struct note);
	int importance;

	if (!note)
		return 0;
	note->length = skb->len;
	note->priority = 4;
	if (note->length > 1000)
		note->priority++;
	importance = note->priority;
	bpf_obj_drop(note);
	return importance;
}

char _license[] SEC("license") = "GPL";
