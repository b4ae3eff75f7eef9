// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * 19. Published too early
 *
 * Once an object is in the map, every CPU can see it. What is written to it afterwards may come too late for those who have
 * looked already. The program below publishes first and borrows its own object back to fill it in; a tc program is in an RCU
 * section, so it may, and the verifier has nothing to say.
 *
 * One CPU publishes a limit of 100 while another reads it. The reader should find no settings at all, or a limit of 100. That
 * is what 19_too_early.toml asks for.
 */
#include "kptrsim.h"

struct settings {
	long limit;
};

struct slot {
	struct settings __kptr *settings;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct slot);
} slots SEC(".maps");

static struct slot *find_slot(void)
{
	int key = 0;

	return bpf_map_lookup_elem(&slots, &key);
}

SEC("tc")
int publish(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct settings *settings, *old;

	if (!slot)
		return 0;
	settings = bpf_obj_new(struct settings);
	if (!settings)
		return 0;
	settings->limit = 100;
	old = bpf_kptr_xchg(&slot->settings, settings);
	if (old)
		bpf_obj_drop(old);
	return 1;
}

/* Returns the limit, or -ENOENT if there are no settings. */
SEC("tc")
int read_limit(struct __sk_buff *skb)
{
	struct slot *slot = find_slot();
	struct settings *settings;

	if (!slot)
		return 0;
	settings = slot->settings;
	if (!settings)
		return -ENOENT;
	return settings->limit;
}

char _license[] SEC("license") = "GPL";
