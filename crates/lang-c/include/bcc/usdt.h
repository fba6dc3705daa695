// Arguments of the probes that programs of users mark, as programs for BCC read them: by number from 1, into a variable.
#pragma once
#include <bpf/usdt.bpf.h>

static __always_inline long ___bcc_usdt_argument(struct pt_regs *ctx, unsigned long long number)
{
	long value = 0;

	bpf_usdt_arg(ctx, number - 1, &value);
	return value;
}

#define bpf_usdt_readarg(number, ctx, to) ({ *(to) = (__typeof__(*(to)))___bcc_usdt_argument(ctx, number); 0; })
#define bpf_usdt_readarg_p(number, ctx, to, size) \
	bpf_probe_read_user(to, size, (const void *)___bcc_usdt_argument(ctx, number))
