// SPDX-License-Identifier: MIT OR Apache-2.0
// Queues, stacks and bloom filters: order, what a full one does, what an empty one gives.
//
// program: queue
// verdict: accept
//
// program: stack
// verdict: accept
//
// program: bloom
// verdict: accept
//
// cpus: 1 4
// run: queue = 0
// run: stack = 0
// run: bloom = 0
#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 2);
	__type(value, u32);
} line SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 2);
	__type(value, u32);
} pile SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__type(value, u32);
} seen SEC(".maps");

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

static __always_inline int fill(void *map)
{
	u32 value = 9;

	EXPECT(bpf_map_peek_elem(map, &value) == -ENOENT && value == 0);
	value = 1;
	EXPECT(bpf_map_push_elem(map, &value, 0) == 0);
	value = 2;
	EXPECT(bpf_map_push_elem(map, &value, 0) == 0);
	value = 3;
	EXPECT(bpf_map_push_elem(map, &value, 0) == -E2BIG);
	EXPECT(bpf_map_push_elem(map, &value, BPF_NOEXIST) == -EINVAL);
	EXPECT(bpf_map_push_elem(map, &value, 4) == -EINVAL);
	/* The oldest one goes. */
	EXPECT(bpf_map_push_elem(map, &value, BPF_EXIST) == 0);
	return 0;
}

SEC("tc")
int queue(struct __sk_buff *skb)
{
	int wrong = fill(&line);
	u32 value;

	if (wrong)
		return wrong;
	EXPECT(bpf_map_peek_elem(&line, &value) == 0 && value == 2);
	EXPECT(bpf_map_pop_elem(&line, &value) == 0 && value == 2);
	EXPECT(bpf_map_pop_elem(&line, &value) == 0 && value == 3);
	EXPECT(bpf_map_pop_elem(&line, &value) == -ENOENT && value == 0);
	return 0;
}

SEC("tc")
int stack(struct __sk_buff *skb)
{
	int wrong = fill(&pile);
	u32 value;

	if (wrong)
		return wrong;
	EXPECT(bpf_map_peek_elem(&pile, &value) == 0 && value == 3);
	EXPECT(bpf_map_pop_elem(&pile, &value) == 0 && value == 3);
	EXPECT(bpf_map_pop_elem(&pile, &value) == 0 && value == 2);
	EXPECT(bpf_map_pop_elem(&pile, &value) == -ENOENT && value == 0);
	return 0;
}

SEC("tc")
int bloom(struct __sk_buff *skb)
{
	u32 value = 5;

	EXPECT(bpf_map_peek_elem(&seen, &value) == -ENOENT);
	EXPECT(bpf_map_push_elem(&seen, &value, BPF_EXIST) == -EINVAL);
	EXPECT(bpf_map_push_elem(&seen, &value, 0) == 0);
	EXPECT(bpf_map_peek_elem(&seen, &value) == 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
