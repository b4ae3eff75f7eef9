// SPDX-License-Identifier: MIT OR Apache-2.0
// The context is never NULL; a tag that says so besides is refused, at the call.
//
// program: tags_in_conflict
// verdict: reject
// errno: EINVAL
// reason: Caller passes invalid args into func#1 ('with_context')
// insn: 0
#include "kptrsim.h"

__noinline int with_context(void *ctx __arg_ctx __arg_nonnull)
{
	return ctx != NULL;
}

SEC("tc")
int tags_in_conflict(struct __sk_buff *skb)
{
	return with_context(skb); // REJECT
}

char _license[] SEC("license") = "GPL";
