// SPDX-License-Identifier: MIT OR Apache-2.0
// Contexts of ciphers: what they are refused for, one that is used up, and one that moves into a map and out again.
//
// program: refusals
// verdict: accept
//
// program: kept
// verdict: accept
//
// program: taken
// verdict: accept
//
// cpus: 4
// run: refusals = 0
// run: kept = 0
// run: taken = 0
// leaks: 0
#include "kptrsim.h"

/* Written out, since libbpf takes no mere name for the kernel's struct. */
struct bpf_crypto_ctx {
	u32 siv_len;
} __attribute__((preserve_access_index));

struct keeper {
	struct bpf_crypto_ctx __kptr *context;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct keeper);
} keepers SEC(".maps");

struct bpf_crypto_params parameters = {.type = "skcipher", .algo = "ecb(aes)", .key_len = 16};

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

/* The error of making a context, which is released at once. */
static __noinline int make(void)
{
	struct bpf_crypto_ctx *context;
	int error = 1;

	context = bpf_crypto_ctx_create(&parameters, sizeof(parameters), &error);
	if (context)
		bpf_crypto_ctx_release(context);
	return error;
}

SEC("syscall")
int refusals(void *ctx)
{
	EXPECT(!make());
	parameters.key_len = 0;
	EXPECT(make() == -22);
	parameters.key_len = 17;
	EXPECT(make() == -22);
	parameters.key_len = 300;
	EXPECT(make() == -22);
	parameters.key_len = 32;
	EXPECT(!make());
	parameters.authsize = 4;
	EXPECT(make() == -95);
	parameters.authsize = 0;
	parameters.algo[0] = 0;
	EXPECT(make() == -95);
	parameters.algo[0] = 'e';
	parameters.type[0] = 'x';
	EXPECT(make() == -2);
	parameters.reserved[1] = 1;
	EXPECT(make() == -22);
	return 0;
}

static __always_inline struct keeper *keeper(void)
{
	u32 key = 0;

	return bpf_map_lookup_elem(&keepers, &key);
}

SEC("syscall")
int kept(void *ctx)
{
	struct bpf_crypto_params own = {.type = "skcipher", .algo = "ecb(aes)", .key_len = 24};
	struct bpf_crypto_ctx *context, *second;
	struct keeper *slot = keeper();
	int error = 1;

	EXPECT(slot);
	context = bpf_crypto_ctx_create(&own, sizeof(own), &error);
	EXPECT(context);
	second = bpf_crypto_ctx_acquire(context);
	context = bpf_kptr_xchg(&slot->context, context);
	if (context)
		bpf_crypto_ctx_release(context);
	if (!second)
		return __LINE__;
	bpf_crypto_ctx_release(second);
	return error;
}

SEC("syscall")
int taken(void *ctx)
{
	struct keeper *slot = keeper();
	struct bpf_crypto_ctx *context;

	EXPECT(slot);
	context = bpf_kptr_xchg(&slot->context, NULL);
	EXPECT(context);
	bpf_crypto_ctx_release(context);
	return 0;
}

char _license[] SEC("license") = "GPL";
