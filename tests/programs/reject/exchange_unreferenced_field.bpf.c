// SPDX-License-Identifier: MIT OR Apache-2.0
// An untrusted kptr field holds an address and owns nothing: it is stored to, never exchanged.
//
// program: exchange_unreferenced_field
// verdict: reject
// errno: EACCES
// reason: off=0 kptr isn't referenced kptr
// insn: 13
#include "kptrsim.h"

struct watch {
	struct task_struct __kptr_untrusted *task;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct watch);
} watches SEC(".maps");

SEC("tc")
int exchange_unreferenced_field(struct __sk_buff *skb)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct watch *e;
	int key = 0;

	e = bpf_map_lookup_elem(&watches, &key);
	if (!e)
		return 0;
	e->task = task;
	bpf_kptr_xchg(&e->task, NULL); // REJECT
	return task->pid;
}

char _license[] SEC("license") = "GPL";
