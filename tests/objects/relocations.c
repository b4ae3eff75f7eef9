/* CO-RE relocations, .kconfig, maps of maps and an array of programs. */
#include "minimal.h"

struct inner {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 3);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = { .values = { [0] = &second, [2] = &first } };

int tail(void *ctx);
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&tail } };

extern int LINUX_KERNEL_VERSION __kconfig;
extern int CONFIG_HZ __kconfig;
extern _Bool CONFIG_ABSENT __kconfig __weak;

enum colour___old { RED___old = 1, GREEN___old = 9 };
struct thing___small { int id; struct { long deep; }; unsigned flag : 3; char name[4]; int gone; } __preserve;

SEC("tp_btf/task_newtask")
int tail(void *ctx)
{
	struct thing___small *thing = ctx;

	return thing->id + thing->deep + thing->name[2] +
	       __builtin_preserve_field_info(thing->gone, 2) +
	       __builtin_preserve_enum_value(*(enum colour___old *)GREEN___old, 1) +
	       __builtin_preserve_type_info(*(struct thing___small *)0, 1);
}

SEC("socket")
int dispatch(void *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
	return LINUX_KERNEL_VERSION + CONFIG_HZ + CONFIG_ABSENT + (bpf_map_lookup_elem(&outer, &(int){0}) != 0);
}

char _license[] SEC("license") = "Dual MIT/GPL";
