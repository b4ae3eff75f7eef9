/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Everything that a BPF program needs to compile with clang alone:
 *
 *	clang --target=bpf -g -O2 -mcpu=v3 -I kfuncs/include -c prog.bpf.c -o prog.bpf.o
 *
 * No vmlinux.h, no libbpf, no system headers. Names are those that BPF programs use everywhere, so a program moves
 * between this header and libbpf's by changing its #include lines. Kernel structures hold only commonly used fields;
 * CO-RE finds their true offsets. A program may declare further ones itself, with preserve_access_index.
 */
#ifndef KPTRSIM_H
#define KPTRSIM_H

/* ---- integers ---- */

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef unsigned long size_t;
typedef long ssize_t;
typedef int pid_t;
typedef long long loff_t;
typedef _Bool bool;
enum { false = 0, true = 1 };

#ifndef NULL
#define NULL ((void *)0)
#endif

/* ---- sections, linkage, tags ---- */

#define SEC(name)                                                                                                      \
	_Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wignored-attributes\"")                  \
		__attribute__((section(name), used)) _Pragma("clang diagnostic pop")

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __unused __attribute__((unused))
#define __packed __attribute__((packed))
#ifndef __aligned
#define __aligned(n) __attribute__((aligned(n)))
#endif

#define __ksym __attribute__((section(".ksyms")))
#define __kconfig __attribute__((section(".kconfig")))

#define __type_tag(tag) __attribute__((btf_type_tag(tag)))
#define __decl_tag(tag) __attribute__((btf_decl_tag(tag)))

/* What a pointer in a map value, global or allocated object owns. */
#define __kptr __type_tag("kptr")
#define __kptr_untrusted __type_tag("kptr_untrusted")
#define __percpu_kptr __type_tag("percpu_kptr")

/* What a list head or tree root holds: __contains(element_struct, node_member). */
#define __contains(element, node) __decl_tag("contains:" #element ":" #node)
/* Puts a global lock, list head or tree root into a map of its own. */
#define private(name) SEC(".bss." #name) __hidden __aligned(8)

/* Arguments of global functions. */
#define __arg_ctx __decl_tag("arg:ctx")
#define __arg_nonnull __decl_tag("arg:nonnull")
#define __arg_nullable __decl_tag("arg:nullable")
#define __arg_trusted __decl_tag("arg:trusted")
#define __arg_arena __decl_tag("arg:arena")
#define __exception_cb(function) __decl_tag("exception_callback:" #function)

#if __has_attribute(bpf_fastcall)
#define __kptrsim_fastcall __attribute__((bpf_fastcall))
#else
#define __kptrsim_fastcall
#endif

/* ---- maps, as BTF describes them ---- */

#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name
#define __array(name, value) __typeof__(value) *name[]
#define __ulong(name, value) enum { KPTRSIM_JOIN(kptrsim_ulong_, __COUNTER__) = value } name

#define KPTRSIM_JOIN2(a, b) a##b
#define KPTRSIM_JOIN(a, b) KPTRSIM_JOIN2(a, b)

#include "kptrsim_helpers.h"

/* ---- values that are macros in the kernel's headers ---- */

#define TC_ACT_UNSPEC (-1)
#define TC_ACT_OK 0
#define TC_ACT_SHOT 2
#define TC_ACT_STOLEN 4
#define TC_ACT_REDIRECT 7
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
#define CLOCK_BOOTTIME 7
#define EPERM 1
#define ENOENT 2
#define E2BIG 7
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22

/* ---- structures ---- */

#undef offsetof
#define offsetof(type, member) ((unsigned long)&((type *)0)->member)
#undef container_of
#define container_of(pointer, type, member)                                                                            \
	({                                                                                                             \
		void *kptrsim_member = (void *)(pointer);                                                              \
		(type *)(kptrsim_member - offsetof(type, member));                                                     \
	})
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* ---- what the optimiser may assume ---- */

#define barrier() __asm__ volatile("" ::: "memory")
#define barrier_var(variable) __asm__ volatile("" : "+r"(variable))
#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define READ_ONCE(object) (*(const volatile __typeof__(object) *)&(object))
#define WRITE_ONCE(object, value) (*(volatile __typeof__(object) *)&(object) = (value))

/* ---- CO-RE: what is asked of the kernel that the program runs on ---- */

#define bpf_core_type_id_local(type) __builtin_btf_type_id(*(__typeof__(type) *)0, 0)
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(*(__typeof__(type) *)0, 1)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(*(__typeof__(type) *)0, 0)
#define bpf_core_type_size(type) __builtin_preserve_type_info(*(__typeof__(type) *)0, 1)
#define bpf_core_type_matches(type) __builtin_preserve_type_info(*(__typeof__(type) *)0, 2)
#define bpf_core_field_offset(field) __builtin_preserve_field_info(field, 0)
#define bpf_core_field_size(field) __builtin_preserve_field_info(field, 1)
#define bpf_core_field_exists(field) __builtin_preserve_field_info(field, 2)
#define bpf_core_enum_value_exists(type, value) __builtin_preserve_enum_value(*(__typeof__(type) *)value, 0)
#define bpf_core_enum_value(type, value) __builtin_preserve_enum_value(*(__typeof__(type) *)value, 1)
#define bpf_core_cast(pointer, type)                                                                                   \
	((__typeof__(type) *)bpf_rdonly_cast((const void *)(pointer), bpf_core_type_id_kernel(type)))
#define bpf_ksym_exists(symbol) (!!(symbol))

/* ---- allocated objects ---- */

#define bpf_obj_new(type) ((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))
#define bpf_obj_drop(object) bpf_obj_drop_impl(object, NULL)
#define bpf_percpu_obj_new(type)                                                                                       \
	((type __percpu_kptr *)bpf_percpu_obj_new_impl(bpf_core_type_id_local(type), NULL))
#define bpf_percpu_obj_drop(object) bpf_percpu_obj_drop_impl(object, NULL)
#define bpf_refcount_acquire(object) bpf_refcount_acquire_impl(object, NULL)
#define bpf_list_push_front(head, node) bpf_list_push_front_impl(head, node, NULL, 0)
#define bpf_list_push_back(head, node) bpf_list_push_back_impl(head, node, NULL, 0)
/* `less` is written as bool (*)(struct bpf_rb_node *a, const struct bpf_rb_node *b). */
#define bpf_rbtree_add(root, node, less) bpf_rbtree_add_impl(root, node, less, NULL, 0)
#define bpf_wq_set_callback(queue, callback, flags) bpf_wq_set_callback_impl(queue, callback, flags, NULL)
#define bpf_assert(condition)                                                                                          \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			bpf_throw(0);                                                                                  \
	} while (0)
#define bpf_assert_with(condition, value)                                                                              \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			bpf_throw(value);                                                                              \
	} while (0)

/* ---- scopes ---- */

struct kptrsim_scope {
};
static inline void kptrsim_leave_preempt(struct kptrsim_scope *scope)
{
	(void)scope;
	bpf_preempt_enable();
}
/* Preemption stays off until the enclosing scope ends. */
#define bpf_guard_preempt()                                                                                            \
	struct kptrsim_scope KPTRSIM_JOIN(kptrsim_preempt_, __COUNTER__)                                               \
		__attribute__((unused, cleanup(kptrsim_leave_preempt))) = (bpf_preempt_disable(), (struct kptrsim_scope){})

/* ---- loops over iterators ---- */

/*
 * bpf_for_each(kind, element, arguments...): runs the body for each `element` that the open-coded iterator
 * bpf_iter_KIND yields. `break`, `continue` and `return` are fine: the iterator is destroyed when its variable's
 * scope ends. The flag variable lives for the same scope, starts the iterator once, and names the destructor so that
 * clang emits BTF for it.
 */
#define bpf_for_each(kind, element, arguments...)                                                                      \
	for (struct bpf_iter_##kind kptrsim_it __attribute__((aligned(8), cleanup(bpf_iter_##kind##_destroy))),        \
	     *kptrsim_started __unused = ((void)bpf_iter_##kind##_new(&kptrsim_it, ##arguments),                       \
					  (void)bpf_iter_##kind##_destroy, (void *)0);                                 \
	     ((element) = bpf_iter_##kind##_next(&kptrsim_it)) != NULL;)

/* bpf_for(i, start, end): i runs from start up to, not including, end; the verifier learns start <= i < end. */
#define bpf_for(i, start, end)                                                                                         \
	for (struct bpf_iter_num kptrsim_it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),                \
	     *kptrsim_started __unused = ((void)bpf_iter_num_new(&kptrsim_it, (start), (end)),                         \
					  (void)bpf_iter_num_destroy, (void *)0);                                      \
	     ({                                                                                                        \
		     const int *kptrsim_now = bpf_iter_num_next(&kptrsim_it);                                          \
		     kptrsim_now && ((i) = *kptrsim_now, (i) >= (start) && (i) < (end));                               \
	     });)

/* bpf_repeat(n): runs the body n times. */
#define bpf_repeat(n)                                                                                                  \
	for (struct bpf_iter_num kptrsim_it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))),                \
	     *kptrsim_started __unused = ((void)bpf_iter_num_new(&kptrsim_it, 0, (n)),                                 \
					  (void)bpf_iter_num_destroy, (void *)0);                                      \
	     bpf_iter_num_next(&kptrsim_it);)

/* Loops that the kernel bounds: `while (... && can_loop)` and `cond_break;` in a loop's body. */
#ifdef __BPF_FEATURE_MAY_GOTO
#define KPTRSIM_MAY_GOTO "may_goto %l[kptrsim_stop]"
#else
#define KPTRSIM_MAY_GOTO                                                                                               \
	"1: .byte 0xe5, 0; .long ((%l[kptrsim_stop] - 1b - 8) / 8) & 0xffff; .short 0"
#endif
#define can_loop                                                                                                       \
	({                                                                                                             \
		__label__ kptrsim_stop, kptrsim_go;                                                                    \
		bool kptrsim_again = true;                                                                             \
		__asm__ volatile goto(KPTRSIM_MAY_GOTO : : : : kptrsim_stop);                                          \
		goto kptrsim_go;                                                                                       \
	kptrsim_stop:                                                                                                  \
		kptrsim_again = false;                                                                                 \
	kptrsim_go:;                                                                                                   \
		kptrsim_again;                                                                                         \
	})
#define cond_break                                                                                                     \
	({                                                                                                             \
		__label__ kptrsim_stop, kptrsim_go;                                                                    \
		__asm__ volatile goto(KPTRSIM_MAY_GOTO : : : : kptrsim_stop);                                          \
		goto kptrsim_go;                                                                                       \
	kptrsim_stop:                                                                                                  \
		break;                                                                                                 \
	kptrsim_go:;                                                                                                   \
	})

/* ---- programs whose context is an array of 64-bit arguments ---- */

/*
 * int BPF_PROG(name, type1 argument1, ...) { body } defines the program `name` for fentry, fexit, fmod_ret, tp_btf, lsm,
 * raw_tp and struct_ops: the body sees typed arguments and `ctx`, the array they come from.
 */
#define BPF_PROG(name, parameters...)                                                                                  \
	name(unsigned long long *ctx);                                                                                 \
	static __always_inline __typeof__(name(0)) kptrsim_body_##name(unsigned long long *ctx, ##parameters);         \
	__typeof__(name(0)) name(unsigned long long *ctx)                                                              \
	{                                                                                                              \
		_Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wint-conversion\"") return       \
			kptrsim_body_##name(KPTRSIM_JOIN(KPTRSIM_SLOTS_, KPTRSIM_COUNT(parameters)));                  \
		_Pragma("clang diagnostic pop")                                                                        \
	}                                                                                                              \
	static __always_inline __typeof__(name(0)) kptrsim_body_##name(unsigned long long *ctx, ##parameters)

#define KPTRSIM_PICK(_, a, b, c, d, e, f, g, h, i, j, k, l, n, ...) n
#define KPTRSIM_COUNT(list...) KPTRSIM_PICK(_, ##list, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define KPTRSIM_SLOT(n) (void *)ctx[n]
#define KPTRSIM_SLOTS_0 ctx
#define KPTRSIM_SLOTS_1 KPTRSIM_SLOTS_0, KPTRSIM_SLOT(0)
#define KPTRSIM_SLOTS_2 KPTRSIM_SLOTS_1, KPTRSIM_SLOT(1)
#define KPTRSIM_SLOTS_3 KPTRSIM_SLOTS_2, KPTRSIM_SLOT(2)
#define KPTRSIM_SLOTS_4 KPTRSIM_SLOTS_3, KPTRSIM_SLOT(3)
#define KPTRSIM_SLOTS_5 KPTRSIM_SLOTS_4, KPTRSIM_SLOT(4)
#define KPTRSIM_SLOTS_6 KPTRSIM_SLOTS_5, KPTRSIM_SLOT(5)
#define KPTRSIM_SLOTS_7 KPTRSIM_SLOTS_6, KPTRSIM_SLOT(6)
#define KPTRSIM_SLOTS_8 KPTRSIM_SLOTS_7, KPTRSIM_SLOT(7)
#define KPTRSIM_SLOTS_9 KPTRSIM_SLOTS_8, KPTRSIM_SLOT(8)
#define KPTRSIM_SLOTS_10 KPTRSIM_SLOTS_9, KPTRSIM_SLOT(9)
#define KPTRSIM_SLOTS_11 KPTRSIM_SLOTS_10, KPTRSIM_SLOT(10)
#define KPTRSIM_SLOTS_12 KPTRSIM_SLOTS_11, KPTRSIM_SLOT(11)

/* ---- printing to the trace pipe: up to three values ---- */

#define bpf_printk(format, values...)                                                                                  \
	({                                                                                                             \
		static const char kptrsim_format[] = format;                                                           \
		bpf_trace_printk(kptrsim_format, sizeof(kptrsim_format), ##values);                                    \
	})

#endif
