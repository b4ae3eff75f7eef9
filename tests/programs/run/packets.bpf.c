// SPDX-License-Identifier: MIT OR Apache-2.0
// A packet of 64 zero bytes: its context, its bytes, where it begins and ends. Each run finds a context of its own.
//
// program: context
// verdict: accept
//
// program: bytes
// verdict: accept
//
// program: ends
// verdict: accept
//
// program: fronts
// verdict: accept
//
// program: checksums
// verdict: accept
//
// cpus: 1 4
// run: context = 0
// run: context = 0
// run: bytes = 0
// run: bytes = 0
// run: ends = 0
// run: fronts = 0
// run: checksums = 0
#include "kptrsim.h"

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

SEC("tc")
int context(struct __sk_buff *given)
{
	volatile struct __sk_buff *skb = given;

	EXPECT(skb->len == 64 && skb->ifindex == 1);
	EXPECT(skb->mark == 0 && skb->priority == 0 && skb->tc_index == 0 && skb->cb[3] == 0);
	skb->mark = 0x12345678;
	skb->priority = 7;
	skb->tc_index = 0x12345;
	skb->cb[3] = 9;
	EXPECT(skb->mark == 0x12345678 && *(volatile u8 *)&skb->mark == 0x78);
	EXPECT(skb->tc_index == 0x2345 && skb->priority == 7 && skb->cb[3] == 9 && skb->cb[2] == 0);
	return 0;
}

SEC("tc")
int bytes(struct __sk_buff *skb)
{
	u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	u32 word = 0xabcd, back = 1;

	if (data + 40 > end)
		return __LINE__;
	EXPECT(end - data == 64 && data[30] == 0);
	data[30] = 5;
	EXPECT(bpf_skb_load_bytes(skb, 30, &back, 4) == 0 && back == 5);
	EXPECT(bpf_skb_store_bytes(skb, 60, &word, 4, 0) == 0 && bpf_skb_store_bytes(skb, 61, &word, 4, 0) == -14);
	EXPECT(bpf_skb_store_bytes(skb, 0, &word, 4, 4) == -22);
	EXPECT(bpf_skb_load_bytes(skb, 60, &back, 4) == 0 && back == 0xabcd);
	EXPECT(bpf_skb_load_bytes(skb, 61, &back, 4) == -14 && back == 0);
	EXPECT(bpf_skb_pull_data(skb, 64) == 0 && bpf_skb_pull_data(skb, 65) == -12);
	return 0;
}

SEC("tc")
int ends(struct __sk_buff *skb)
{
	u32 word = 0x11111111;
	u8 *data, *end;

	EXPECT(bpf_skb_store_bytes(skb, 40, &word, 4, 0) == 0);
	EXPECT(bpf_skb_change_tail(skb, 13, 0) == -22 && bpf_skb_change_tail(skb, 42, 0) == 0 && skb->len == 42);
	EXPECT(bpf_skb_change_tail(skb, 100, 0) == 0 && skb->len == 100);
	EXPECT(bpf_skb_load_bytes(skb, 40, &word, 4) == 0 && word == 0x1111);
	EXPECT(bpf_skb_change_head(skb, 200, 0) == 0 && skb->len == 300);
	EXPECT(bpf_skb_load_bytes(skb, 240, &word, 4) == 0 && word == 0x1111);
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	EXPECT(end - data == 300);
	// Not IP.
	EXPECT(bpf_skb_adjust_room(skb, 8, 1, 0) == -524);
	return 0;
}

SEC("xdp")
int fronts(struct xdp_md *xdp)
{
	u8 *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end, *meta;

	if (data + 1 > end)
		return __LINE__;
	data[0] = 3;
	EXPECT(bpf_xdp_adjust_head(xdp, -300) == -22 && bpf_xdp_adjust_head(xdp, 51) == -22);
	EXPECT(bpf_xdp_adjust_head(xdp, -8) == 0);
	EXPECT(bpf_xdp_adjust_meta(xdp, -3) == -13 && bpf_xdp_adjust_meta(xdp, -4) == 0);
	EXPECT(bpf_xdp_adjust_tail(xdp, 16) == 0 && bpf_xdp_adjust_tail(xdp, -80) == -22);
	data = (void *)(long)xdp->data;
	end = (void *)(long)xdp->data_end;
	meta = (void *)(long)xdp->data_meta;
	if (data + 9 > end || meta + 4 > data)
		return __LINE__;
	EXPECT(end - data == 88 && data - meta == 4 && data[8] == 3 && data[7] == 0);
	meta[3] = 1;
	return 0;
}

SEC("tc")
int checksums(struct __sk_buff *skb)
{
	u32 from = 0x01020304, to = 0xfffffffe;
	u16 sum = 0;

	EXPECT((u32)bpf_csum_diff(0, 0, &from, 4, 5) == 0x01020309);
	EXPECT((u32)bpf_csum_diff(&from, 4, &to, 4, 0) == 0xfefdfcfa);
	EXPECT(bpf_csum_diff(&from, 3, &to, 4, 0) == -22);
	EXPECT(bpf_l4_csum_replace(skb, 20, 0, 0x0102, 2) == 0);
	EXPECT(bpf_skb_load_bytes(skb, 20, &sum, 2) == 0 && sum == 0xfefd);
	EXPECT(bpf_l4_csum_replace(skb, 21, 0, 1, 2) == -14 && bpf_l4_csum_replace(skb, 20, 0, 1, 3) == -22);
	return 0;
}

char _license[] SEC("license") = "GPL";
