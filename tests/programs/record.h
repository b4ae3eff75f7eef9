/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Memory that dynptrs are made over: a ring buffer, and bytes in a map. */
#ifndef RECORD_H
#define RECORD_H

#include "kptrsim.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

char bytes[64];

char _license[] SEC("license") = "GPL";

#endif
