// What libbpf's `usdt.bpf.h` makes of `bpf_usdt_arg` and `bpf_usdt_cookie`: the layout of its maps, read in the same way.
#include "../../../object/tests/c/skep.h"

struct argument {
	u64 value;
	u32 kind;
	short place;
	bool has_sign;
	char shift;
};

struct description {
	struct argument arguments[12];
	u64 cookie;
	short count;
};

struct {
	__uint(type, ARRAY);
	__uint(max_entries, 256);
	__type(key, int);
	__type(value, struct description);
} __bpf_usdt_specs SEC(".maps");

struct {
	__uint(type, HASH);
	__uint(max_entries, 1024);
	__type(key, long);
	__type(value, u32);
} __bpf_usdt_ip_to_spec_id SEC(".maps");

extern const bool LINUX_HAS_BPF_COOKIE __kconfig;

static u64 (*const get_attach_cookie)(void *ctx) = (void *)174;
static long (*const probe_read_user)(void *dst, u32 size, const void *src) = (void *)112;

u64 values[6];
s64 results[6];
u64 runs, counts, cookies;

__weak __hidden __noinline long read_argument(void *ctx, struct argument *argument, u64 *result)
{
	u64 value = 0;

	if (argument->kind == 0) {
		value = argument->value;
	} else if (argument->kind == 1 || argument->kind == 2) {
		if (probe_read_kernel(&value, sizeof(value), ctx + argument->place))
			return -14;
		if (argument->kind == 2 && probe_read_user(&value, sizeof(value), (void *)(value + argument->value)))
			return -14;
	} else {
		return -22;
	}
	value <<= argument->shift;
	*result = argument->has_sign ? (u64)((s64)value >> argument->shift) : value >> argument->shift;
	return 0;
}

SEC("usdt//proc/self/exe:skep:marked") int marked(void *ctx)
{
	u32 number = LINUX_HAS_BPF_COOKIE ? get_attach_cookie(ctx) : -1;
	struct description *found = map_lookup(&__bpf_usdt_specs, &number);

	if (!found)
		return 0;
	runs++;
	counts = found->count;
	cookies |= 1 << (found->cookie & 31);
	for (u32 i = 0; i < 6; i++)
		results[i] = i < found->count ? read_argument(ctx, &found->arguments[i], &values[i]) : -2;
	return 0;
}
