// SPDX-License-Identifier: MIT OR Apache-2.0
// Records of a ring buffer: what is handed out, when there is no room, and views of records.
//
// program: ring_records
// verdict: accept
//
// program: ring_views
// verdict: accept
//
// cpus: 1 4
// run: ring_records = 0
// run: ring_views = 0
// leaks: 0
#include "../record.h"

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

SEC("tc")
int ring_records(struct __sk_buff *skb)
{
	long *record, *other;

	EXPECT(bpf_ringbuf_query(&records, BPF_RB_RING_SIZE) == 4096);
	EXPECT(bpf_ringbuf_query(&records, BPF_RB_PROD_POS) == 0);
	record = bpf_ringbuf_reserve(&records, 4096, 0);
	if (record) {
		bpf_ringbuf_discard(record, 0);
		return __LINE__;
	}
	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	EXPECT(record);
	other = bpf_ringbuf_reserve(&records, 2003, 0);
	if (!other) {
		bpf_ringbuf_discard(record, 0);
		return __LINE__;
	}
	*record = 1;
	*other = 2;
	bpf_ringbuf_submit(other, 0);
	bpf_ringbuf_discard(record, 0);
	EXPECT(bpf_ringbuf_query(&records, BPF_RB_PROD_POS) == 16 + 2016);
	EXPECT(bpf_ringbuf_query(&records, BPF_RB_AVAIL_DATA) == 16 + 2016);
	EXPECT(bpf_ringbuf_query(&records, BPF_RB_CONS_POS) == 0);
	EXPECT(bpf_ringbuf_query(&records, 9) == 0);
	EXPECT(bpf_ringbuf_output(&records, bytes, sizeof(bytes), 4) == -EINVAL);
	EXPECT(bpf_ringbuf_output(&records, bytes, sizeof(bytes), 0) == 0);
	EXPECT(bpf_ringbuf_query(&records, BPF_RB_PROD_POS) == 2104);
	record = bpf_ringbuf_reserve(&records, 1992, 0);
	if (record) {
		bpf_ringbuf_discard(record, 0);
		return __LINE__;
	}
	record = bpf_ringbuf_reserve(&records, 1976, 0);
	EXPECT(record);
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	EXPECT(bpf_ringbuf_output(&records, bytes, 8, 0) == -11); /* EAGAIN */
	return 0;
}

SEC("tc")
int ring_views(struct __sk_buff *skb)
{
	struct bpf_dynptr view, copy;
	char back[4] = {};
	char *data;
	int wrong = 0;

	EXPECT(bpf_dynptr_from_mem(bytes, sizeof(bytes), 1, &view) == -EINVAL);
	EXPECT(bpf_dynptr_is_null(&view));
	EXPECT(bpf_dynptr_size(&view) == (u32)-EINVAL);
	EXPECT(bpf_dynptr_from_mem(bytes, sizeof(bytes), 0, &view) == 0);
	EXPECT(!bpf_dynptr_is_null(&view) && !bpf_dynptr_is_rdonly(&view));
	EXPECT(bpf_dynptr_size(&view) == 64);
	EXPECT(bpf_dynptr_write(&view, 62, "abc", 3, 0) == -E2BIG);
	EXPECT(bpf_dynptr_write(&view, 60, "abc", 3, 1) == -EINVAL);
	EXPECT(bpf_dynptr_write(&view, 60, "abc", 3, 0) == 0);
	EXPECT(bytes[62] == 'c');
	EXPECT(bpf_dynptr_adjust(&view, 2, 1) == -EINVAL);
	EXPECT(bpf_dynptr_adjust(&view, 2, 65) == -34); /* ERANGE */
	EXPECT(bpf_dynptr_adjust(&view, 60, 64) == 0);
	EXPECT(bpf_dynptr_size(&view) == 4);
	EXPECT(bpf_dynptr_read(back, 4, &view, 0, 0) == 0);
	EXPECT(back[0] == 'a' && back[3] == 0);
	EXPECT(bpf_dynptr_read(back, 4, &view, 1, 0) == -E2BIG);
	EXPECT(bpf_dynptr_clone(&view, &copy) == 0);
	EXPECT(bpf_dynptr_adjust(&view, 1, 2) == 0);
	data = bpf_dynptr_data(&copy, 1, 2);
	EXPECT(data && data[0] == 'b');
	EXPECT(!bpf_dynptr_data(&view, 0, 2));
	data = bpf_dynptr_slice(&view, 0, NULL, 1);
	EXPECT(data && *data == 'b');
	data = bpf_dynptr_slice_rdwr(&copy, 0, back, 4);
	EXPECT(data);
	*data = 'z';
	EXPECT(bytes[60] == 'z');
	/* The ring is full: the view is null, and giving it back does nothing. */
	EXPECT(bpf_ringbuf_query(&records, BPF_RB_PROD_POS) > 4000);
	if (bpf_ringbuf_reserve_dynptr(&records, 64, 0, &view) != -EINVAL || !bpf_dynptr_is_null(&view))
		wrong = __LINE__;
	bpf_ringbuf_submit_dynptr(&view, 0);
	return wrong;
}
