// SPDX-License-Identifier: MIT OR Apache-2.0
// A function that is verified on its own is called while its caller holds an object.
//
// program: reference_across_global
// verdict: accept
#include "../slot.h"

__attribute__((noinline)) int twice(int number)
{
	return number * 2;
}

SEC("syscall")
int reference_across_global(void *ctx)
{
	struct counts *mine = bpf_obj_new(struct counts);
	int result;

	if (!mine)
		return 0;
	result = twice(21);
	bpf_obj_drop(mine);
	return result == 42;
}
