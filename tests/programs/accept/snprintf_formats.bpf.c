// SPDX-License-Identifier: MIT OR Apache-2.0
// A format with a width, a percent sign, a symbol, an address and letters beyond ASCII; more values than it uses.
//
// program: snprintf_formats
// verdict: accept
#include "../slot.h"

static const char format[] = "caf\xc3\xa9: %-8llx 100%% %pS, %pI4 %c\n";
char text[64];

SEC("tc")
int snprintf_formats(struct __sk_buff *skb)
{
	__u64 values[6] = {1, 2, 3, 4, 5, 6};

	return bpf_snprintf(text, sizeof(text), format, values, sizeof(values));
}
