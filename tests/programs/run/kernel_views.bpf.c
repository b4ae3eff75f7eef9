// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel's structs behind a packet's context and its socket, which change with the packet; and a cgroup that there is not.
//
// program: packet
// verdict: accept
//
// program: nobody
// verdict: accept
//
// cpus: 1 4
// run: packet = 0
// run: nobody = 0
#include "kptrsim.h"

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

SEC("tc")
int packet(struct __sk_buff *skb)
{
	struct sk_buff *behind = bpf_cast_to_kern_ctx(skb);
	struct bpf_sock *socket = skb->sk;
	struct sock *sk;

	EXPECT(behind->len == 64 && !behind->data_len && !behind->mark);
	EXPECT(bpf_core_cast(behind, struct sk_buff)->protocol == skb->protocol);
	skb->mark = 5;
	EXPECT(behind->mark == 5);
	EXPECT(!bpf_skb_change_tail(skb, 80, 0));
	EXPECT(behind->len == 80);
	EXPECT(socket);
	sk = bpf_core_cast(socket, struct sock);
	EXPECT(!sk->sk_protocol && !sk->sk_type);
	return 0;
}

SEC("syscall")
int nobody(void *ctx)
{
	struct cgroup *cgroup = bpf_cgroup_from_id(0);

	if (!cgroup)
		return 0;
	bpf_cgroup_release(cgroup);
	return 1;
}

char _license[] SEC("license") = "GPL";
