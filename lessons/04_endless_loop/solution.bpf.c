// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 4. A loop that might not end
 *
 * A program that never returns would stop its CPU for ever. So the verifier must see that every loop ends, and to see it, it
 * walks through the loop round by round. After a million instructions it gives up and rejects the program.
 *
 * Here the loop ends when the reader has caught up with the writer. But both positions are numbers from memory, which to
 * the verifier may be anything, in every round anew. That the ring has eight places, and that no more than eight rounds
 * make sense, is something that only you know.
 *
 * bpf_for(i, start, end) { ... } is a loop whose rounds the kernel itself counts. The verifier needs no proof that it
 * ends, and knows that start <= i < end in its body. `break` and `return` work as in any loop.
 */
#include "kptrsim.h"

enum { RING = 8 };

long ring[RING];
unsigned int reader, writer;

/* Takes all that is in the ring and returns its sum. */
SEC("tc")
int drain(struct __sk_buff *skb)
{
	long sum = 0;
	int i;

	bpf_for(i, 0, RING) {
		if (reader == writer)
			break;
		sum += ring[reader % RING];
		reader++;
	}
	return sum;
}

char _license[] SEC("license") = "GPL";
