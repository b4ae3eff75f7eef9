# A number of 32 bits, filled from the stack with its sign: the verifier thinks that it is still the number that was spilled.
#
# Assemble: clang --target=bpf -mcpu=v4 -c signed_fill.s -o signed_fill.bpf.o

	.section	"syscall","ax",@progbits
	.globl	signed_fill
	.type	signed_fill,@function
signed_fill:
	r1 = number ll
	r0 = *(u32 *)(r1 + 0)		# 0xffffffff, of which the verifier knows that it has 32 bits
	*(u64 *)(r10 - 8) = r0		# spilled; both have one id from here on
	r1 = *(s32 *)(r10 - 8)		# -1, with the id of 0xffffffff
	r2 = *(u64 *)(r10 - 8)		# 0xffffffff
	r0 = 0
	if r1 s>= 0 goto out
	r2 >>= 63			# 1 for the verifier, for which r2 is negative as r1 is; 0 in truth
	r0 = r2
out:
	exit
	.size	signed_fill, .-signed_fill

	.data
	.globl	number
	.type	number,@object
	.p2align	2
number:
	.long	0xffffffff
	.size	number, 4

	.section	license,"aw",@progbits
	.globl	_license
_license:
	.asciz	"GPL"
