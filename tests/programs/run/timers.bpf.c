// SPDX-License-Identifier: MIT OR Apache-2.0
// Timers: what each call answers, and callbacks that run after the program; one sets itself again, one is in a hash map,
// one is cancelled.
//
// program: set_timers
// verdict: accept
//
// program: wait_for_them
// verdict: accept
//
// program: check_timers
// verdict: accept
//
// cpus: 1 4
// run: set_timers = 0
// run: wait_for_them = 1048576
// run: wait_for_them = 1048576
// run: check_timers = 0
#include "kptrsim.h"

struct element {
	long rounds;
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, int);
	__type(value, struct element);
} elements SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct element);
} table SEC(".maps");

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

int seen_key, self_cancel;

static int once(void *map, int *key, struct element *e)
{
	seen_key = *key;
	e->rounds++;
	self_cancel = bpf_timer_cancel(&e->timer);
	return 0;
}

static int twice(void *map, int *key, struct element *e)
{
	e->rounds += 10;
	if (e->rounds < 20)
		bpf_timer_start(&e->timer, 0, 0);
	return 0;
}

SEC("syscall")
int set_timers(void *ctx)
{
	struct element *e, zero = {};
	int key = 1;

	e = bpf_map_lookup_elem(&elements, &key);
	EXPECT(e);
	EXPECT(bpf_timer_set_callback(&e->timer, twice) == -EINVAL);
	EXPECT(bpf_timer_start(&e->timer, 0, 0) == -EINVAL);
	EXPECT(bpf_timer_cancel(&e->timer) == -EINVAL);
	EXPECT(bpf_timer_init(&e->timer, &elements, 2) == -EINVAL);
	EXPECT(bpf_timer_init(&e->timer, &elements, CLOCK_MONOTONIC) == 0);
	EXPECT(bpf_timer_init(&e->timer, &elements, CLOCK_MONOTONIC) == -EBUSY);
	EXPECT(bpf_timer_start(&e->timer, 0, 0) == -EINVAL);
	EXPECT(bpf_timer_set_callback(&e->timer, twice) == 0);
	EXPECT(bpf_timer_start(&e->timer, 0, 4) == -EINVAL);
	EXPECT(bpf_timer_start(&e->timer, 0, 0) == 0);
	key = 2;
	e = bpf_map_lookup_elem(&elements, &key);
	EXPECT(e);
	EXPECT(bpf_timer_init(&e->timer, &elements, CLOCK_BOOTTIME) == 0);
	EXPECT(bpf_timer_set_callback(&e->timer, once) == 0);
	EXPECT(bpf_timer_cancel(&e->timer) == 0);
	EXPECT(bpf_timer_start(&e->timer, 1000000000000, 0) == -EINVAL);
	EXPECT(bpf_timer_set_callback(&e->timer, once) == 0);
	EXPECT(bpf_timer_start(&e->timer, 1000000000000, 0) == 0);
	EXPECT(bpf_timer_cancel(&e->timer) == 1);
	key = 77;
	EXPECT(bpf_map_update_elem(&table, &key, &zero, 0) == 0);
	e = bpf_map_lookup_elem(&table, &key);
	EXPECT(e);
	EXPECT(bpf_timer_init(&e->timer, &table, CLOCK_MONOTONIC) == 0);
	EXPECT(bpf_timer_set_callback(&e->timer, once) == 0);
	EXPECT(bpf_timer_start(&e->timer, 1000, 0) == 0);
	key = 78;
	EXPECT(bpf_map_update_elem(&table, &key, &zero, 0) == 0);
	e = bpf_map_lookup_elem(&table, &key);
	EXPECT(e);
	EXPECT(bpf_timer_init(&e->timer, &table, CLOCK_MONOTONIC) == 0);
	EXPECT(bpf_timer_set_callback(&e->timer, once) == 0);
	EXPECT(bpf_timer_start(&e->timer, 100000000000, 0) == 0);
	/* Deleting the value cancels it. */
	EXPECT(bpf_map_delete_elem(&table, &key) == 0);
	return 0;
}

static int nothing(u32 index, void *context)
{
	return 0;
}

/* Time for the timers. */
SEC("syscall")
int wait_for_them(void *ctx)
{
	return bpf_loop(1 << 20, nothing, NULL, 0);
}

SEC("syscall")
int check_timers(void *ctx)
{
	struct element *e;
	int key = 1;

	e = bpf_map_lookup_elem(&elements, &key);
	EXPECT(e && e->rounds == 20);
	key = 2;
	e = bpf_map_lookup_elem(&elements, &key);
	EXPECT(e && e->rounds == 0);
	key = 77;
	e = bpf_map_lookup_elem(&table, &key);
	EXPECT(e && e->rounds == 1);
	EXPECT(seen_key == 77);
	EXPECT(self_cancel == -35); /* EDEADLK */
	return 0;
}

char _license[] SEC("license") = "GPL";
