// SPDX-License-Identifier: MIT OR Apache-2.0
// The kernel dies of verifying this: a work queue in a map whose value has no special field.
#define SEC(name) __attribute__((section(name), used))

struct bpf_wq {
	unsigned long long opaque[2];
} __attribute__((aligned(8)));

struct value {
	struct {
		unsigned long long words[2];
	} no_work_queue;
};

struct {
	int (*type)[2];
	int (*max_entries)[1];
	int *key;
	struct value *value;
} values SEC(".maps");

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __attribute__((section(".ksyms")));
static void *(*const bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

SEC("tc")
int work_queue_without_record(void *ctx)
{
	int key = 0;
	struct value *value = bpf_map_lookup_elem(&values, &key);

	if (value)
		bpf_wq_init((struct bpf_wq *)value, &values, 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
