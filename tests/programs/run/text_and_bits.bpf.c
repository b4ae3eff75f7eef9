// SPDX-License-Identifier: MIT OR Apache-2.0
// Parsing and writing numbers, reading by address, and visiting bits.
//
// program: numbers
// verdict: accept
//
// program: addresses
// verdict: accept
//
// program: bits
// verdict: accept
//
// cpus: 1 4
// run: numbers = 0
// run: addresses = 0
// run: bits = 0
#include "kptrsim.h"

#define EXPECT(condition)                                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

char text[64];
char word[8] = "abc";
u64 area[3] = {1, 0, 1ull << 63};
long sum;

static __always_inline int write(const char *from, unsigned int size)
{
	for (int i = 0; i < 24; i++)
		text[i] = i < size ? from[i] : 0;
	return size - 1;
}

#define SIGNED(number, flags, result, value)                                                                           \
	do {                                                                                                           \
		write(number, sizeof(number));                                                                         \
		EXPECT(bpf_strtol(text, sizeof(number) - 1, flags, &s) == (result) && s == (value));                   \
	} while (0)
#define UNSIGNED(number, flags, result, value)                                                                         \
	do {                                                                                                           \
		write(number, sizeof(number));                                                                         \
		EXPECT(bpf_strtoul(text, sizeof(number) - 1, flags, &u) == (result) && u == (value));                  \
	} while (0)

SEC("syscall")
int numbers(void *ctx)
{
	u64 values[3] = {-3, 0xbeef, 0};
	unsigned long u;
	long s;

	SIGNED(" \t-12x", 0, 5, -12);
	SIGNED("0x1fz", 0, 4, 31);
	SIGNED("0x", 0, 1, 0);
	SIGNED("0x1f", 10, 1, 0);
	SIGNED("017", 0, 3, 15);
	SIGNED("08", 0, 1, 0);
	SIGNED("ff", 16, 2, 255);
	SIGNED("9", 8, -EINVAL, 0);
	SIGNED("1", 2, -EINVAL, 0);
	SIGNED("  -", 0, -EINVAL, 0);
	SIGNED("-9223372036854775808", 0, 20, -9223372036854775807L - 1);
	SIGNED("9223372036854775808", 0, -34, 0);
	UNSIGNED("18446744073709551615", 0, 20, -1UL);
	UNSIGNED("18446744073709551616", 0, -34, 0);
	UNSIGNED("-1", 0, -EINVAL, 0);
	values[2] = (u64)word;
	EXPECT(bpf_snprintf(text, sizeof(text), "%d %x %s|", values, sizeof(values)) == 13);
	EXPECT(!bpf_strncmp(text, sizeof(text), "-3 beef abc|"));
	EXPECT(bpf_snprintf(text, 4, "%d %x %s|", values, sizeof(values)) == 13);
	EXPECT(!bpf_strncmp(text, sizeof(text), "-3 "));
	values[2] = 0; // there is no string
	EXPECT(bpf_snprintf(text, sizeof(text), "%d %x %s|", values, sizeof(values)) == 10);
	EXPECT(bpf_strncmp(word, 2, "abz") == 0);
	EXPECT(bpf_strncmp(word, 8, "abz") < 0);
	return 0;
}

SEC("syscall")
int addresses(void *ctx)
{
	u64 value = 7;
	char copy[8] = "xxxxxxx";

	EXPECT(bpf_probe_read_kernel(&value, 8, NULL) == -34 && value == 0);
	value = 7;
	EXPECT(bpf_probe_read_kernel(&value, 8, (void *)0x8000000000000000) == -34 && value == 0);
	value = 7;
	EXPECT(bpf_probe_read_user(&value, 8, (void *)8) == -14 && value == 0);
	EXPECT(bpf_probe_read_user(&value, 8, word) == -14);
	EXPECT(bpf_probe_read_kernel(&value, 8, &area[2]) == 0 && value == 1ull << 63);
	EXPECT(bpf_probe_read_kernel_str(copy, sizeof(copy), word) == 4);
	EXPECT(copy[2] == 'c' && copy[3] == 0 && copy[4] == 'x');
	EXPECT(bpf_probe_read_kernel_str(copy, 3, word) == 3 && copy[1] == 'b' && copy[2] == 0);
	EXPECT(bpf_probe_read_kernel_str(copy, sizeof(copy), NULL) == -34 && copy[4] == 0);
	EXPECT(bpf_copy_from_user(&value, 8, (void *)8) == -14 && value == 0);
	return 0;
}

static __always_inline int visit(const u64 *from, u32 words)
{
	struct bpf_iter_bits it;
	int *bit, result;

	sum = 0;
	result = bpf_iter_bits_new(&it, from, words);
	while ((bit = bpf_iter_bits_next(&it)))
		sum += 1000 + *bit;
	bpf_iter_bits_destroy(&it);
	return result;
}

SEC("syscall")
int bits(void *ctx)
{
	EXPECT(visit(area, 1) == 0 && sum == 1000);
	EXPECT(visit(area, 3) == 0 && sum == 2000 + 191);
	EXPECT(visit(NULL, 1) == -EINVAL && sum == 0);
	EXPECT(visit(area, 0) == -EINVAL);
	EXPECT(visit(area, 512) == -E2BIG);
	EXPECT(visit((u64 *)8, 1) == -14);
	EXPECT(visit((u64 *)8, 2) == -34);
	return 0;
}

char _license[] SEC("license") = "GPL";
