// Cgroups: options of sockets, system settings, devices.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define SOL_IP 0
#define IP_TOS 1

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, u32);
	__type(value, u64);
} seen SEC(".maps");

static __always_inline void note(u32 what)
{
	u64 one = 1, *known = bpf_map_lookup_elem(&seen, &what);

	if (known)
		__sync_fetch_and_add(known, 1);
	else
		bpf_map_update_elem(&seen, &what, &one, BPF_ANY);
}

SEC("cgroup/setsockopt")
int sets(struct bpf_sockopt *ctx)
{
	u8 *value = ctx->optval;

	if (ctx->level != SOL_IP || ctx->optname != IP_TOS)
		return 1;
	if ((void *)(value + 1) > (void *)ctx->optval_end)
		return 0;
	note(*value);
	*value &= 0xfc;
	ctx->optlen = 1;
	return 1;
}

SEC("cgroup/getsockopt")
int gets(struct bpf_sockopt *ctx)
{
	if (ctx->level == SOL_IP && ctx->retval == 0)
		note(0x100);
	return 1;
}

SEC("cgroup/sysctl")
int settings(struct bpf_sysctl *ctx)
{
	char name[32] = {};

	if (!ctx->write)
		return 1;
	if (bpf_sysctl_get_name(ctx, name, sizeof(name), 0) < 0)
		return 0;
	note(name[0]);
	return __builtin_memcmp(name, "net/", 4) == 0;
}

SEC("cgroup/dev")
int devices(struct bpf_cgroup_dev_ctx *ctx)
{
	u32 type = ctx->access_type & 0xffff;

	note(ctx->major << 8 | type);
	return ctx->major == 1 && (ctx->minor == 3 || ctx->minor == 5);
}
