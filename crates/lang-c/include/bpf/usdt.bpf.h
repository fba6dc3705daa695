// Arguments of the probes that programs of users mark (USDT). The loader describes in a map where the arguments of each place
// are; the cookie of the probe is the number of the description. Needs Linux 5.15.
#pragma once
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#ifndef BPF_USDT_MAX_SPEC_CNT
#define BPF_USDT_MAX_SPEC_CNT 256
#endif
#ifndef BPF_USDT_MAX_IP_CNT
#define BPF_USDT_MAX_IP_CNT (4 * BPF_USDT_MAX_SPEC_CNT)
#endif
#define BPF_USDT_MAX_ARG_CNT 12

enum __bpf_usdt_arg_type {
	BPF_USDT_ARG_CONST,
	BPF_USDT_ARG_REG,
	BPF_USDT_ARG_REG_DEREF,
	BPF_USDT_ARG_SIB,
};

struct __bpf_usdt_arg_spec {
	/* The number itself, or what is added to the register. */
	__u64 val_off;
	__u32 arg_type : 8;
	/* A second register and the logarithm of its factor. */
	__u32 idx_reg_off : 12;
	__u32 scale_bitshift : 4;
	__u32 __reserved : 8;
	/* The place of the register in `struct pt_regs`. */
	short reg_off;
	_Bool arg_signed;
	/* 64 without the bits of the argument. */
	char arg_bitshift;
};

struct __bpf_usdt_spec {
	struct __bpf_usdt_arg_spec args[BPF_USDT_MAX_ARG_CNT];
	__u64 usdt_cookie;
	short arg_cnt;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPF_USDT_MAX_SPEC_CNT);
	__type(key, int);
	__type(value, struct __bpf_usdt_spec);
} __bpf_usdt_specs SEC(".maps") __weak;

/* For loaders that cannot give cookies: descriptions by address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_USDT_MAX_IP_CNT);
	__type(key, long);
	__type(value, __u32);
} __bpf_usdt_ip_to_spec_id SEC(".maps") __weak;

extern const _Bool LINUX_HAS_BPF_COOKIE __kconfig;

static __always_inline struct __bpf_usdt_spec *__bpf_usdt_spec_of(struct pt_regs *ctx)
{
	int number;

	if (LINUX_HAS_BPF_COOKIE) {
		number = bpf_get_attach_cookie(ctx);
	} else {
		long ip = PT_REGS_IP(ctx);
		int *found = bpf_map_lookup_elem(&__bpf_usdt_ip_to_spec_id, &ip);

		if (!found)
			return NULL;
		number = *found;
	}
	return bpf_map_lookup_elem(&__bpf_usdt_specs, &number);
}

/* The number of arguments, or -ESRCH if the probe is not known. */
__weak __hidden int bpf_usdt_arg_cnt(struct pt_regs *ctx)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);

	return spec ? spec->arg_cnt : -ESRCH;
}

/* The size of an argument in bytes; errors as from bpf_usdt_arg. */
__weak __hidden int bpf_usdt_arg_size(struct pt_regs *ctx, __u64 arg_num)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);

	if (!spec)
		return -ESRCH;
	if (arg_num >= BPF_USDT_MAX_ARG_CNT)
		return -ENOENT;
	barrier_var(arg_num);
	if (arg_num >= spec->arg_cnt)
		return -ENOENT;
	return (64u - (unsigned char)spec->args[arg_num].arg_bitshift) / 8;
}

/* An argument, the first is 0. -ESRCH: the probe is not known; -ENOENT: it has no such argument; -EINVAL: the argument is
   where programs cannot read it; others as reading memory gives them. */
__weak __hidden int bpf_usdt_arg(struct pt_regs *ctx, __u64 arg_num, long *res)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);
	struct __bpf_usdt_arg_spec *arg;
	unsigned long val = 0, index = 0;
	int error;

	*res = 0;
	if (!spec)
		return -ESRCH;
	if (arg_num >= BPF_USDT_MAX_ARG_CNT)
		return -ENOENT;
	barrier_var(arg_num);
	if (arg_num >= spec->arg_cnt)
		return -ENOENT;
	arg = &spec->args[arg_num];
	if (arg->arg_type == BPF_USDT_ARG_CONST) {
		val = arg->val_off;
	} else if (arg->arg_type <= BPF_USDT_ARG_SIB) {
		error = bpf_probe_read_kernel(&val, sizeof(val), (void *)ctx + arg->reg_off);
		if (error)
			return error;
		if (arg->arg_type == BPF_USDT_ARG_SIB) {
			error = bpf_probe_read_kernel(&index, sizeof(index), (void *)ctx + arg->idx_reg_off);
			if (error)
				return error;
			val += index << arg->scale_bitshift;
		}
		if (arg->arg_type != BPF_USDT_ARG_REG) {
			error = bpf_probe_read_user(&val, sizeof(val), (void *)val + arg->val_off);
			if (error)
				return error;
		}
	} else {
		return -EINVAL;
	}
	val <<= arg->arg_bitshift;
	if (arg->arg_signed)
		val = (long)val >> arg->arg_bitshift;
	else
		val >>= arg->arg_bitshift;
	*res = val;
	return 0;
}

/* What the user gave the probe when it was attached. */
__weak __hidden long bpf_usdt_cookie(struct pt_regs *ctx)
{
	struct __bpf_usdt_spec *spec = __bpf_usdt_spec_of(ctx);

	return spec ? spec->usdt_cookie : 0;
}

#define ___bpf_usdt_arg(n) ({ long ___value; bpf_usdt_arg(ctx, n, &___value); (void *)___value; })
#define ___bpf_usdt_args0() ctx
#define ___bpf_usdt_args1(a) ___bpf_usdt_args0(), ___bpf_usdt_arg(0)
#define ___bpf_usdt_args2(a, args...) ___bpf_usdt_args1(args), ___bpf_usdt_arg(1)
#define ___bpf_usdt_args3(a, args...) ___bpf_usdt_args2(args), ___bpf_usdt_arg(2)
#define ___bpf_usdt_args4(a, args...) ___bpf_usdt_args3(args), ___bpf_usdt_arg(3)
#define ___bpf_usdt_args5(a, args...) ___bpf_usdt_args4(args), ___bpf_usdt_arg(4)
#define ___bpf_usdt_args6(a, args...) ___bpf_usdt_args5(args), ___bpf_usdt_arg(5)
#define ___bpf_usdt_args7(a, args...) ___bpf_usdt_args6(args), ___bpf_usdt_arg(6)
#define ___bpf_usdt_args8(a, args...) ___bpf_usdt_args7(args), ___bpf_usdt_arg(7)
#define ___bpf_usdt_args9(a, args...) ___bpf_usdt_args8(args), ___bpf_usdt_arg(8)
#define ___bpf_usdt_args10(a, args...) ___bpf_usdt_args9(args), ___bpf_usdt_arg(9)
#define ___bpf_usdt_args11(a, args...) ___bpf_usdt_args10(args), ___bpf_usdt_arg(10)
#define ___bpf_usdt_args12(a, args...) ___bpf_usdt_args11(args), ___bpf_usdt_arg(11)
#define ___bpf_usdt_args(args...) ___bpf_apply(___bpf_usdt_args, ___bpf_narg(args))(args)

/* A program that names the arguments of its probe: `int BPF_USDT(name, int first, const char *second) { ... }`. */
#define BPF_USDT(name, args...) \
name(struct pt_regs *ctx); \
static __always_inline __typeof__(name(0)) ____##name(struct pt_regs *ctx, ##args); \
__typeof__(name(0)) name(struct pt_regs *ctx) \
{ \
	return ____##name(___bpf_usdt_args(args)); \
} \
static __always_inline __typeof__(name(0)) ____##name(struct pt_regs *ctx, ##args)
