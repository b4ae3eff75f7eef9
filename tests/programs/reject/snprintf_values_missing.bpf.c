// SPDX-License-Identifier: MIT OR Apache-2.0
// Three conversions, two values.
//
// program: snprintf_values_missing
// verdict: reject
// errno: EINVAL
// reason: Invalid format string
// insn: 12
#include "../slot.h"

static const char format[] = "%d of %d, %s";
char text[32];

SEC("tc")
int snprintf_values_missing(struct __sk_buff *skb)
{
	__u64 values[2] = {1, 2};

	bpf_snprintf(text, sizeof(text), format, values, sizeof(values)); // REJECT
	return 0;
}
