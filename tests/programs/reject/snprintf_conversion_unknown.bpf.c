// SPDX-License-Identifier: MIT OR Apache-2.0
// bpf_snprintf knows no octal numbers.
//
// program: snprintf_conversion_unknown
// verdict: reject
// errno: EINVAL
// reason: Invalid format string
// insn: 12
#include "../slot.h"

static const char format[] = "%d of %o";
char text[32];

SEC("tc")
int snprintf_conversion_unknown(struct __sk_buff *skb)
{
	__u64 values[2] = {1, 2};

	bpf_snprintf(text, sizeof(text), format, values, sizeof(values)); // REJECT
	return 0;
}
