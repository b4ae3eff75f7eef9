// SPDX-License-Identifier: MIT OR Apache-2.0
// An object that can be in a list or tree, borrowed under RCU, is read after the section: there it is no more than any other.
//
// program: read_node_after_unlock
// verdict: reject
// errno: EFAULT
// reason: verifier internal error: ref_obj_id for allocated object must be non-zero
// insn: 13
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
int read_node_after_unlock(void *ctx)
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
	return job->key; // REJECT
}
