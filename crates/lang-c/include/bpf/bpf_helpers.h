// What every program uses: sections, definitions of maps, attributes, and the helpers of the kernel.
#pragma once
#include <linux/types.h>
#include <bpf/bpf_helper_defs.h>

#define __uint(name, val) int (*name)[val]
#define __type(name, val) __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]
#define __ulong(name, val) enum { ___bpf_concat(__unique_value, __COUNTER__) = val } name

#define SEC(name) __attribute__((section(name), used))

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif
#ifndef __unused
#define __unused __attribute__((unused))
#endif
#ifndef __packed
#define __packed __attribute__((packed))
#endif
#ifndef __aligned
#define __aligned(n) __attribute__((aligned(n)))
#endif

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef KERNEL_VERSION
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#endif
#ifndef offsetof
#define offsetof(TYPE, MEMBER) __builtin_offsetof(TYPE, MEMBER)
#endif
#ifndef container_of
#define container_of(ptr, type, member) ((type *)((void *)(ptr) - offsetof(type, member)))
#endif
#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif

#ifndef barrier
#define barrier() asm volatile("" ::: "memory")
#endif
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif
#ifndef __bpf_unreachable
#define __bpf_unreachable() __builtin_trap()
#endif
#ifndef READ_ONCE
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, val) ((*(volatile __typeof__(x) *)&(x)) = (val))
#endif

static __always_inline void bpf_tail_call_static(void *ctx, const void *map, const __u32 slot)
{
	bpf_tail_call(ctx, (void *)map, slot);
}

enum libbpf_pin_type {
	LIBBPF_PIN_NONE,
	LIBBPF_PIN_BY_NAME,
};

enum libbpf_tristate {
	TRI_NO = 0,
	TRI_YES = 1,
	TRI_MODULE = 2,
};

#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
#define __kptr_untrusted __attribute__((btf_type_tag("kptr_untrusted")))
#define __kptr __attribute__((btf_type_tag("kptr")))
#define __percpu_kptr __attribute__((btf_type_tag("percpu_kptr")))
#define __uptr __attribute__((btf_type_tag("uptr")))
#define bpf_ksym_exists(sym) (!!(&(sym)))

#define __arg_ctx __attribute__((btf_decl_tag("arg:ctx")))
#define __arg_nonnull __attribute__((btf_decl_tag("arg:nonnull")))
#define __arg_nullable __attribute__((btf_decl_tag("arg:nullable")))
#define __arg_trusted __attribute__((btf_decl_tag("arg:trusted")))
#define __arg_untrusted __attribute__((btf_decl_tag("arg:untrusted")))
#define __arg_arena __attribute__((btf_decl_tag("arg:arena")))

// Counting arguments, and choosing a macro by their number.
#define ___bpf_concat(a, b) a##b
#define ___bpf_apply(fn, n) ___bpf_concat(fn, n)
#define ___bpf_nth(_, _1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, N, ...) N
#define ___bpf_narg(...) ___bpf_nth(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

#define ___bpf_fill0(arr, ...)
#define ___bpf_fill1(arr, x0) (arr)[0] = (unsigned long long)(x0);
#define ___bpf_fill2(arr, x0, x1) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1);
#define ___bpf_fill3(arr, x0, x1, x2) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2);
#define ___bpf_fill4(arr, x0, x1, x2, x3) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3);
#define ___bpf_fill5(arr, x0, x1, x2, x3, x4) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4);
#define ___bpf_fill6(arr, x0, x1, x2, x3, x4, x5) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5);
#define ___bpf_fill7(arr, x0, x1, x2, x3, x4, x5, x6) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5); (arr)[6] = (unsigned long long)(x6);
#define ___bpf_fill8(arr, x0, x1, x2, x3, x4, x5, x6, x7) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5); (arr)[6] = (unsigned long long)(x6); (arr)[7] = (unsigned long long)(x7);
#define ___bpf_fill9(arr, x0, x1, x2, x3, x4, x5, x6, x7, x8) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5); (arr)[6] = (unsigned long long)(x6); (arr)[7] = (unsigned long long)(x7); (arr)[8] = (unsigned long long)(x8);
#define ___bpf_fill10(arr, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5); (arr)[6] = (unsigned long long)(x6); (arr)[7] = (unsigned long long)(x7); (arr)[8] = (unsigned long long)(x8); (arr)[9] = (unsigned long long)(x9);
#define ___bpf_fill11(arr, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5); (arr)[6] = (unsigned long long)(x6); (arr)[7] = (unsigned long long)(x7); (arr)[8] = (unsigned long long)(x8); (arr)[9] = (unsigned long long)(x9); (arr)[10] = (unsigned long long)(x10);
#define ___bpf_fill12(arr, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11) (arr)[0] = (unsigned long long)(x0); (arr)[1] = (unsigned long long)(x1); (arr)[2] = (unsigned long long)(x2); (arr)[3] = (unsigned long long)(x3); (arr)[4] = (unsigned long long)(x4); (arr)[5] = (unsigned long long)(x5); (arr)[6] = (unsigned long long)(x6); (arr)[7] = (unsigned long long)(x7); (arr)[8] = (unsigned long long)(x8); (arr)[9] = (unsigned long long)(x9); (arr)[10] = (unsigned long long)(x10); (arr)[11] = (unsigned long long)(x11);
#define ___bpf_fill(arr, args...) ___bpf_apply(___bpf_fill, ___bpf_narg(args))(arr, ##args)

#define BPF_SEQ_PRINTF(seq, fmt, args...) ({ \
	static const char ___fmt[] = fmt; \
	unsigned long long ___param[___bpf_narg(args) + 1]; \
	___bpf_fill(___param, args) \
	bpf_seq_printf(seq, ___fmt, sizeof(___fmt), ___param, ___bpf_narg(args) * 8); \
})

#define BPF_SNPRINTF(out, out_size, fmt, args...) ({ \
	static const char ___fmt[] = fmt; \
	unsigned long long ___param[___bpf_narg(args) + 1]; \
	___bpf_fill(___param, args) \
	bpf_snprintf(out, out_size, ___fmt, ___param, ___bpf_narg(args) * 8); \
})

#define __bpf_printk(fmt, ...) ({ \
	static const char ____fmt[] = fmt; \
	bpf_trace_printk(____fmt, sizeof(____fmt), ##__VA_ARGS__); \
})
#define __bpf_vprintk(fmt, args...) ({ \
	static const char ___fmt[] = fmt; \
	unsigned long long ___param[___bpf_narg(args) + 1]; \
	___bpf_fill(___param, args) \
	bpf_trace_vprintk(___fmt, sizeof(___fmt), ___param, ___bpf_narg(args) * 8); \
})
#define ___bpf_pick_printk(...) ___bpf_nth(_, ##__VA_ARGS__, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, \
	__bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_vprintk, __bpf_printk, \
	__bpf_printk, __bpf_printk, __bpf_printk)
#define bpf_printk(fmt, args...) ___bpf_pick_printk(args)(fmt, ##args)

struct bpf_iter_num;
extern int bpf_iter_num_new(struct bpf_iter_num *it, int start, int end) __weak __ksym;
extern int *bpf_iter_num_next(struct bpf_iter_num *it) __weak __ksym;
extern void bpf_iter_num_destroy(struct bpf_iter_num *it) __weak __ksym;

#ifndef bpf_for_each
#define bpf_for_each(type, cur, args...) for ( \
	struct bpf_iter_##type ___it __attribute__((aligned(8), cleanup(bpf_iter_##type##_destroy))), \
	*___p __attribute__((unused)) = (bpf_iter_##type##_new(&___it, ##args), \
		(void)bpf_iter_##type##_destroy, (void *)0); \
	(((cur) = bpf_iter_##type##_next(&___it)));)
#endif
#ifndef bpf_for
#define bpf_for(i, start, end) for ( \
	struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))), \
	*___p __attribute__((unused)) = (bpf_iter_num_new(&___it, (start), (end)), \
		(void)bpf_iter_num_destroy, (void *)0); \
	({ int *___t = bpf_iter_num_next(&___it); \
		(___t && ((i) = *___t, (i) >= (start) && (i) < (end))); });)
#endif
#ifndef bpf_repeat
#define bpf_repeat(N) for ( \
	struct bpf_iter_num ___it __attribute__((aligned(8), cleanup(bpf_iter_num_destroy))), \
	*___p __attribute__((unused)) = (bpf_iter_num_new(&___it, 0, (N)), \
		(void)bpf_iter_num_destroy, (void *)0); \
	bpf_iter_num_next(&___it);)
#endif
