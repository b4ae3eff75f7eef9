// SPDX-License-Identifier: MIT OR Apache-2.0
// Sets of CPUs: single bits, whole sets, and one that moves into a map and out again.
//
// program: cpu_sets
// verdict: accept
//
// program: kept
// verdict: accept
//
// program: taken
// verdict: accept
//
// cpus: 4
// run: cpu_sets = 0
// run: kept = 0
// run: taken = 5
// leaks: 0
#include "kptrsim.h"

struct keeper {
	struct bpf_cpumask __kptr *mask;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct keeper);
} keepers SEC(".maps");

static __always_inline const struct cpumask *cast(struct bpf_cpumask *mask)
{
	return (const struct cpumask *)mask;
}

static __always_inline int check(struct bpf_cpumask *a, struct bpf_cpumask *b)
{
	if (!bpf_cpumask_empty(cast(a)) || bpf_cpumask_first(cast(a)) != 4 || bpf_cpumask_first_zero(cast(a)) != 0)
		return __LINE__;
	bpf_cpumask_set_cpu(1, a);
	bpf_cpumask_set_cpu(4, a);
	if (!bpf_cpumask_test_cpu(1, cast(a)) || bpf_cpumask_test_cpu(4, cast(a)) || bpf_cpumask_weight(cast(a)) != 1)
		return __LINE__;
	if (bpf_cpumask_test_and_set_cpu(2, a) || !bpf_cpumask_test_and_set_cpu(2, a))
		return __LINE__;
	bpf_cpumask_setall(b);
	if (!bpf_cpumask_full(cast(b)) || bpf_cpumask_first_zero(cast(b)) != 4 || bpf_cpumask_weight(cast(b)) != 4)
		return __LINE__;
	if (!bpf_cpumask_subset(cast(a), cast(b)) || bpf_cpumask_subset(cast(b), cast(a)))
		return __LINE__;
	bpf_cpumask_xor(b, cast(a), cast(b));
	if (bpf_cpumask_intersects(cast(a), cast(b)) || bpf_cpumask_first_and(cast(a), cast(b)) != 4)
		return __LINE__;
	if (bpf_cpumask_and(b, cast(a), cast(b)) || !bpf_cpumask_empty(cast(b)))
		return __LINE__;
	bpf_cpumask_or(b, cast(a), cast(b));
	if (!bpf_cpumask_equal(cast(a), cast(b)) || bpf_cpumask_first(cast(b)) != 1)
		return __LINE__;
	bpf_cpumask_clear_cpu(1, b);
	if (!bpf_cpumask_test_and_clear_cpu(2, b) || bpf_cpumask_any_distribute(cast(b)) < 4)
		return __LINE__;
	bpf_cpumask_copy(b, cast(a));
	bpf_cpumask_clear(a);
	if (!bpf_cpumask_empty(cast(a)) || bpf_cpumask_weight(cast(b)) != 2)
		return __LINE__;
	return 0;
}

SEC("syscall")
int cpu_sets(void *ctx)
{
	struct bpf_cpumask *a = bpf_cpumask_create(), *b = bpf_cpumask_create();
	int wrong = -1;

	if (a && b)
		wrong = check(a, b);
	if (a)
		bpf_cpumask_release(a);
	if (b)
		bpf_cpumask_release(b);
	return wrong;
}

SEC("syscall")
int kept(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create(), *shared;
	struct keeper *keeper;
	u32 zero = 0;

	if (!mask)
		return -1;
	bpf_cpumask_set_cpu(0, mask);
	bpf_cpumask_set_cpu(3, mask);
	keeper = bpf_map_lookup_elem(&keepers, &zero);
	if (!keeper) {
		bpf_cpumask_release(mask);
		return -2;
	}
	shared = bpf_cpumask_acquire(mask);
	mask = bpf_kptr_xchg(&keeper->mask, mask);
	if (mask)
		bpf_cpumask_release(mask);
	bpf_cpumask_clear_cpu(0, shared);
	bpf_cpumask_release(shared);
	return 0;
}

SEC("syscall")
int taken(void *ctx)
{
	struct bpf_cpumask *mask;
	struct keeper *keeper;
	int result = -3;
	u32 zero = 0;

	keeper = bpf_map_lookup_elem(&keepers, &zero);
	if (!keeper)
		return -1;
	bpf_rcu_read_lock();
	mask = keeper->mask;
	if (mask)
		result = bpf_cpumask_first(cast(mask)) + 1;
	bpf_rcu_read_unlock();
	mask = bpf_kptr_xchg(&keeper->mask, NULL);
	if (!mask)
		return -2;
	result += bpf_cpumask_weight(cast(mask));
	bpf_cpumask_release(mask);
	return result;
}

char _license[] SEC("license") = "GPL";
