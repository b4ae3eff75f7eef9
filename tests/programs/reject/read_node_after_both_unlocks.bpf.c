// SPDX-License-Identifier: MIT OR Apache-2.0
// The same after a lock was taken and given back, which ends what lists and trees lend, but this they did not lend.
//
// program: read_node_after_both_unlocks
// verdict: reject
// errno: EFAULT
// reason: verifier internal error: ref_obj_id for allocated object must be non-zero
// insn: 19
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
int read_node_after_both_unlocks(void *ctx)
{
	struct place *place;
	struct job *job;
	int key = 0;

	place = bpf_map_lookup_elem(&places, &key);
	if (!place)
		return 0;
	bpf_rcu_read_lock();
	job = place->job;
	bpf_rcu_read_unlock();
	if (!job)
		return 0;
	bpf_spin_lock(&job_lock);
	bpf_spin_unlock(&job_lock);
	return job->key; // REJECT
}
