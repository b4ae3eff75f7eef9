// SPDX-License-Identifier: MIT OR Apache-2.0
// Owning an object over a sleep is fine: only borrowing needs the section.
//
// program: sleep_between_sections
// verdict: accept
#include "../slot.h"

SEC("syscall")
int sleep_between_sections(void *ctx)
{
	struct counts __percpu_kptr *p = bpf_percpu_obj_new(struct counts);
	long value = 0;

	if (!p)
		return 0;
	bpf_copy_from_user(&value, sizeof(value), (void *)8);
	bpf_percpu_obj_drop(p);
	return 0;
}
