// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * A histogram of packet sizes with one copy for each CPU.
 *
 * A CPU's copy is reached at offsets that are known when the program is loaded: `mine->bucket[i]` with an `i` from the packet
 * would be rejected (tests/programs/reject/index_copy.bpf.c), even with a check that it is in bounds. So the bucket is
 * chosen by branches, each with its own constant offset. barrier() keeps the compiler from merging them back into an index.
 */
//
// program: create
// verdict: accept
//
// program: record
// verdict: accept
//
// program: collect
// verdict: accept
//
// cpus: 4 64
// set: nr_cpus=cpus
// set: packet_size=60
// run: create@0 = 1
// run: record@0 = 1
// run: record@1 = 1
// run: record@2 = 1
// run: record@3 = 1
// run: record@0 = 1
// run: record@1 = 1
// run: collect@0 = 6
// map: histograms[0].total.tiny = 2
// map: histograms[0].total.small = 2
// map: histograms[0].total.medium = 1
// map: histograms[0].total.large = 1
// global: packet_size = 3840
// leaks: 0
#include "kptrsim.h"

struct sizes {
	long tiny;	/* up to 127 bytes */
	long small;	/* up to 511 */
	long medium;	/* up to 1023 */
	long large;	/* more */
};

struct histogram {
	struct sizes total;
	struct sizes __percpu_kptr *live;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct histogram);
} histograms SEC(".maps");

const volatile int nr_cpus;

/* What each call of `record` counts; in a program for real traffic this would be skb->len. */
int packet_size;

static __always_inline struct histogram *the_histogram(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&histograms, &key);
}

SEC("tc")
int create(struct __sk_buff *skb)
{
	struct histogram *h = the_histogram();
	struct sizes __percpu_kptr *sizes;
	struct sizes *copy;
	int cpu;

	if (!h)
		return 0;
	sizes = bpf_percpu_obj_new(struct sizes);
	if (!sizes)
		return 0;
	sizes = bpf_kptr_xchg(&h->live, sizes);
	if (sizes)
		bpf_percpu_obj_drop(sizes);

	sizes = h->live;
	if (!sizes)
		return 0;
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(sizes, cpu);
		if (!copy)
			break;
		copy->tiny = 0;
		copy->small = 0;
		copy->medium = 0;
		copy->large = 0;
	}
	return 1;
}

SEC("tc")
int record(struct __sk_buff *skb)
{
	struct histogram *h = the_histogram();
	struct sizes __percpu_kptr *sizes;
	struct sizes *mine;
	int size = packet_size;

	if (!h)
		return 0;
	sizes = h->live;
	if (!sizes)
		return 0;
	mine = bpf_this_cpu_ptr(sizes);
	if (size < 128) {
		mine->tiny++;
		barrier();
	} else if (size < 512) {
		mine->small++;
		barrier();
	} else if (size < 1024) {
		mine->medium++;
		barrier();
	} else {
		mine->large++;
		barrier();
	}
	/* The next packet is twice as large. */
	packet_size = size * 2;
	return 1;
}

SEC("tc")
int collect(struct __sk_buff *skb)
{
	struct histogram *h = the_histogram();
	struct sizes __percpu_kptr *sizes;
	struct sizes *copy, sum = {};
	int cpu;

	if (!h)
		return 0;
	sizes = h->live;
	if (!sizes)
		return 0;
	bpf_for(cpu, 0, nr_cpus) {
		copy = bpf_per_cpu_ptr(sizes, cpu);
		if (!copy)
			break;
		sum.tiny += copy->tiny;
		sum.small += copy->small;
		sum.medium += copy->medium;
		sum.large += copy->large;
	}
	h->total = sum;
	return sum.tiny + sum.small + sum.medium + sum.large;
}

char _license[] SEC("license") = "GPL";
