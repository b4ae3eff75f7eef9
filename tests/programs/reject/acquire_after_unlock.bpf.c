// SPDX-License-Identifier: MIT OR Apache-2.0
// A reference to an object that was borrowed under RCU is acquired after the section, when it may be gone.
//
// program: acquire_after_unlock
// verdict: reject
// errno: EINVAL
// reason: arg#0 is neither owning or non-owning ref
// insn: 15
#include "../graph.h"

struct place {
	struct job __kptr *job;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct place);
} places SEC(".maps");

SEC("tc")
int acquire_after_unlock(void *ctx)
{
	struct place *place;
	struct job *job;
	int key = 0;
	struct job *mine;

	place = bpf_map_lookup_elem(&places, &key);
	if (!place)
		return 0;
	bpf_rcu_read_lock();
	job = place->job;
	bpf_rcu_read_unlock();
	if (!job)
		return 0;
	mine = bpf_refcount_acquire(job); // REJECT
	if (mine)
		bpf_obj_drop(mine);
	return 0;
}
