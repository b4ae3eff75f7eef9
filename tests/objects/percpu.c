/* A per-CPU object in a map, with subprograms, a callback, globals and kfuncs. */
#include "minimal.h"

struct counter { __u64 hits; __u32 misses[2]; };
struct node { __u64 key; struct bpf_list_node link; };
struct entry {
	struct counter __percpu_kptr *counter;
	struct counter __kptr *spare[2];
	struct bpf_spin_lock lock;
	struct bpf_list_head nodes __contains(node, link);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct entry);
} entries SEC(".maps");

extern void *bpf_percpu_obj_new_impl(__u64 type, void *meta) __ksym;
extern void bpf_percpu_obj_drop_impl(void *object, void *meta) __ksym;
extern const int absent_variable __ksym __weak;

__u64 total = 7;
const volatile __u32 limit = 3;
__u32 failures;

static __noinline int count_one(__u32 index, void *context)
{
	total += index + limit;
	return 0;
}

static __noinline long count_all(void)
{
	return bpf_loop(limit, count_one, 0, 0);
}

__noinline __hidden int shared(__u32 key)
{
	failures += key;
	return failures;
}

SEC("?fentry/bpf_fentry_test1")
int publish(void *ctx)
{
	__u32 key = 0;
	struct entry *entry = bpf_map_lookup_elem(&entries, &key);
	struct counter *counter;

	if (!entry || &absent_variable)
		return shared(1);
	counter = bpf_percpu_obj_new_impl(__builtin_btf_type_id(*(struct counter *)0, 0), 0);
	if (!counter)
		return shared(2);
	counter = bpf_kptr_xchg(&entry->counter, counter);
	if (counter)
		bpf_percpu_obj_drop_impl(counter, 0);
	return 0;
}

SEC("lsm.s/file_open")
int sleepy(void *ctx)
{
	total = __builtin_btf_type_id(*(struct node *)0, 0);
	return count_all() > 0 ? 0 : shared(3);
}

char _license[] SEC("license") = "GPL";
