// SPDX-License-Identifier: MIT OR Apache-2.0
// A timer is cancelled, and its value deleted, while its callback may be running on another CPU.
#include "kptrsim.h"

#define CLOCK_MONOTONIC 1
#define NOT_YET 1000

struct armed {
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct armed);
} timers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, struct armed);
} elements SEC(".maps");

int begun, ended;
int results[2] = { NOT_YET, NOT_YET };

static void wait_a_little(void)
{
	for (int i = 0; i < 1000; i++)
		asm volatile("" : "+r"(i));
}

static int take_time(void *map, int *key, struct armed *value)
{
	*(volatile int *)&begun = 1;
	wait_a_little();
	*(volatile int *)&ended = 1;
	return 0;
}

static int cancel_own(void *map, int *key, struct armed *value)
{
	*(volatile int *)&results[0] = bpf_timer_cancel(&value->timer);
	return 0;
}

static int cancel_other(void *map, int *key, struct armed *value)
{
	int own = *key, other = !own;
	struct armed *second = bpf_map_lookup_elem(&timers, &other);

	if (second)
		*(volatile int *)&results[own & 1] = bpf_timer_cancel(&second->timer);
	return 0;
}

static int delete_own(void *map, int *key, struct armed *value)
{
	int mine = *key;
	int failed = bpf_map_delete_elem(&elements, &mine);

	/* The timer is no more, though its callback still runs. */
	*(volatile int *)&results[0] = failed ?: bpf_timer_cancel(&value->timer);
	return 0;
}

static __always_inline int start(void *map, int key)
{
	struct armed *value = bpf_map_lookup_elem(map, &key);

	return value ? bpf_timer_start(&value->timer, 0, 0) : -1;
}

#define PREPARE(name, map, key, callback)                                      \
	SEC("syscall")                                                         \
	int name(void *ctx)                                                    \
	{                                                                      \
		int k = key;                                                   \
		struct armed new = {};                                         \
		bpf_map_update_elem(&map, &k, &new, 0);                        \
		struct armed *value = bpf_map_lookup_elem(&map, &k);           \
		if (!value || bpf_timer_init(&value->timer, &map, CLOCK_MONOTONIC)) \
			return -1;                                             \
		return bpf_timer_set_callback(&value->timer, callback);        \
	}

PREPARE(prepare_long, timers, 0, take_time)
PREPARE(prepare_own, timers, 0, cancel_own)
PREPARE(prepare_first, timers, 0, cancel_other)
PREPARE(prepare_second, timers, 1, cancel_other)
PREPARE(prepare_element, elements, 7, take_time)
PREPARE(prepare_deletion, elements, 7, delete_own)

SEC("syscall")
int start_first(void *ctx)
{
	return start(&timers, 0);
}

SEC("syscall")
int start_second(void *ctx)
{
	return start(&timers, 1);
}

SEC("syscall")
int start_element(void *ctx)
{
	return start(&elements, 7);
}

static __always_inline int seen(void)
{
	int last = *(volatile int *)&ended;
	int first = *(volatile int *)&begun;

	return first * 10 + last;
}

/* Whether the timer was waiting, and how far its callback was afterwards. */
SEC("syscall")
int cancel(void *ctx)
{
	int key = 0;
	struct armed *value = bpf_map_lookup_elem(&timers, &key);

	if (!value)
		return -1;
	int waited = bpf_timer_cancel(&value->timer);
	return waited < 0 ? waited : waited * 100 + seen();
}

SEC("syscall")
int delete(void *ctx)
{
	int key = 7;

	return bpf_map_delete_elem(&elements, &key) ?: seen();
}

SEC("syscall")
int read_results(void *ctx)
{
	int second = *(volatile int *)&results[1];
	int first = *(volatile int *)&results[0];

	return first * 10000 + second;
}

char _license[] SEC("license") = "Dual MIT/GPL";
