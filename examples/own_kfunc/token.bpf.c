// SPDX-License-Identifier: MIT OR Apache-2.0
/* Calls kfuncs that token.toml describes: kptrsim verify --kfuncs examples/own_kfunc examples/own_kfunc/token.bpf.c */
#include "kptrsim.h"

struct my_token {
	u64 value;
};

struct my_token *my_token_new(u32 key) __ksym;
void my_token_put(struct my_token *token) __ksym;

SEC("tc")
int take_and_give_back(struct __sk_buff *skb)
{
	struct my_token *token = my_token_new(skb->len);

	if (!token)
		return 0;
	my_token_put(token);
	return 1;
}

SEC("tc")
int take_and_forget(struct __sk_buff *skb)
{
	return my_token_new(skb->len) != 0;
}

char _license[] SEC("license") = "GPL";
