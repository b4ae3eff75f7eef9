// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * Remembers the task that asked last, so that other programs can look at it.
 */
#include "kptrsim.h"

struct slot {
	struct task_struct __kptr *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct slot);
} watched SEC(".maps");

SEC("syscall")
int watch_me(void *ctx)
{
	struct task_struct *task;
	__u32 key = 0;
	struct slot *slot = bpf_map_lookup_elem(&watched, &key);

	if (!slot)
		return 1;
	task = bpf_task_acquire(bpf_get_current_task_btf());
	if (!task)
		return 1;
	slot->task = task;
	return 0;
}

char _license[] SEC("license") = "GPL";
