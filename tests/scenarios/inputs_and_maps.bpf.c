// SPDX-License-Identifier: MIT OR Apache-2.0
// Nothing races here: each kind of input that a scenario gives, and each kind of map and type that it observes.
#include "kptrsim.h"

struct value {
	long number;
	char name[8];
};

struct pair {
	int left;
	int right;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct value);
} by_number SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, struct pair);
	__type(value, long);
} by_pair SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, long);
} copies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, long);
} of_task SEC(".maps");

int fired;
int initial = 42;
unsigned long largest;
bool flag;
struct {
	int low : 3;
	unsigned int high : 5;
} bits;

SEC("raw_tp")
int add(__u64 *ctx)
{
	return ctx[0] + ctx[1];
}

SEC("xdp")
int second_byte(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	return data + 2 <= end ? data[1] : -1;
}

SEC("fentry/bpf_fentry_test1")
int fire(void *ctx)
{
	__sync_fetch_and_add(&fired, 1);
	return 0;
}

SEC("syscall")
int fill(int *ctx)
{
	struct value value = { .number = -5, .name = "ab" };
	struct pair pair = { 1, 2 };
	int key = 300, first = 0;
	long nine = 9, *found;

	bpf_map_update_elem(&by_number, &key, &value, 0);
	bpf_map_update_elem(&by_pair, &pair, &nine, 0);
	found = bpf_map_lookup_elem(&copies, &first);
	if (found)
		*found += 1 + bpf_get_smp_processor_id();
	found = bpf_task_storage_get(&of_task, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (found)
		*found += 3;
	bits.low = -1;
	bits.high = 17;
	largest--;
	initial++;
	flag = true;
	return ctx[0];
}

char _license[] SEC("license") = "Dual MIT/GPL";
