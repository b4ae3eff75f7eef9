// SPDX-License-Identifier: MIT OR Apache-2.0
// Paths that differ in what the caller held when it called are told apart, although nothing is held any more.
//
// program: references_per_caller
// verdict: accept
#include "../graph.h"

int total;

static __noinline int finish(struct item **item, int flags)
{
	int result = 0;

	if (*item) {
		bpf_obj_drop(*item);
		*item = NULL;
	}
	if (flags & 1)
		total++;
	if (flags & 2)
		total += 2;
	if (flags & 4)
		result++;
	return result;
}

SEC("tc")
int references_per_caller(struct __sk_buff *skb)
{
	struct item *item = NULL;

	if (skb->len & 1) {
		item = bpf_obj_new(struct item);
		if (!item)
			return 0;
	}
	return finish(&item, skb->mark);
}
