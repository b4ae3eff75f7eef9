// SPDX-License-Identifier: MIT OR Apache-2.0
// Work queues: what each call answers, and a callback that takes over an object.
//
// program: queue_work
// verdict: accept
//
// program: wait_for_it
// verdict: accept
//
// program: check_work
// verdict: accept
//
// cpus: 1 4
// run: queue_work = 0
// run: wait_for_it = 1048576
// run: wait_for_it = 1048576
// run: check_work = 0
// map: elements[1].rounds = 12
// leaks: 0
#include "kptrsim.h"

struct job {
	long size;
};

struct element {
	long rounds;
	struct bpf_wq work;
	struct job __kptr *job;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct element);
} elements SEC(".maps");

struct job kind;

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

static int work(void *map, int *key, void *value)
{
	struct element *e = value;
	struct job *job = bpf_kptr_xchg(&e->job, NULL);

	if (!job)
		return 0;
	e->rounds += job->size + *key;
	bpf_obj_drop(job);
	return 0;
}

SEC("syscall")
int queue_work(void *ctx)
{
	struct element *e;
	struct job *job;
	int key = 1;

	e = bpf_map_lookup_elem(&elements, &key);
	EXPECT(e);
	EXPECT(bpf_wq_start(&e->work, 0) == -EINVAL);
	EXPECT(bpf_wq_set_callback(&e->work, work, 0) == -EINVAL);
	EXPECT(bpf_wq_init(&e->work, &elements, 1) == -EINVAL);
	EXPECT(bpf_wq_init(&e->work, &elements, 0) == 0);
	EXPECT(bpf_wq_init(&e->work, &elements, 0) == -EBUSY);
	EXPECT(bpf_wq_start(&e->work, 0) == -EINVAL);
	EXPECT(bpf_wq_set_callback(&e->work, work, 1) == -EINVAL);
	EXPECT(bpf_wq_set_callback(&e->work, work, 0) == 0);
	job = bpf_obj_new(struct job);
	EXPECT(job);
	job->size = 11;
	job = bpf_kptr_xchg(&e->job, job);
	if (job)
		bpf_obj_drop(job);
	EXPECT(bpf_wq_start(&e->work, 1) == -EINVAL);
	EXPECT(bpf_wq_start(&e->work, 0) == 0);
	EXPECT(bpf_wq_start(&e->work, 0) == 0);
	return 0;
}

static int nothing(u32 index, void *context)
{
	return 0;
}

/* Time for the work. */
SEC("syscall")
int wait_for_it(void *ctx)
{
	return bpf_loop(1 << 20, nothing, NULL, 0);
}

SEC("syscall")
int check_work(void *ctx)
{
	struct element *e;
	int key = 1;

	e = bpf_map_lookup_elem(&elements, &key);
	EXPECT(e && e->rounds == 12);
	return 0;
}

char _license[] SEC("license") = "GPL";
