// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 5. What is allocated must be given back
 *
 * bpf_obj_new(struct T) allocates a T and returns a pointer to it, or NULL. From then on the program owns the object: on every
 * path it has to get rid of it, by bpf_obj_drop() or by handing it to somebody else. The verifier keeps a ledger of what a
 * program owns. If something stands in it when the program returns, the program is rejected, for it would leak.
 *
 * TODO: one path forgets. Find it, and drop the object there.
 */
#include "kptrsim.h"

struct note {
	long length;
	long priority;
};

long large;

/* Returns 1 for a packet that is worth a note. */
SEC("tc")
int inspect(struct __sk_buff *skb)
{
	struct note *note = bpf_obj_new(struct note);

	if (!note)
		return 0;
	note->length = skb->len;
	note->priority = skb->priority;
	if (note->length < 100)
		return 0;
	large++;
	bpf_obj_drop(note);
	return 1;
}

char _license[] SEC("license") = "GPL";
