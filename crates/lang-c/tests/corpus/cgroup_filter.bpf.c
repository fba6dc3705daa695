// Programs of control groups: packets, sockets, addresses, devices, settings.
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, long);
} stats SEC(".maps");

static __noinline void bump(int index)
{
	long *value = bpf_map_lookup_elem(&stats, &index);

	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return 1;
	if (ip.version != 4)
		return 1;
	bump(ip.protocol == IPPROTO_ICMP ? 0 : ip.protocol == IPPROTO_TCP ? 1 : 2);
	return ip.protocol != IPPROTO_ICMP;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip4 == bpf_htonl(0x01020304) && ctx->user_port == bpf_htons(53)) {
		ctx->user_ip4 = bpf_htonl(INADDR_LOOPBACK);
		ctx->user_port = bpf_htons(5353);
		bump(3);
	}
	return 1;
}

SEC("cgroup/sock_create")
int create(struct bpf_sock *sk)
{
	if (sk->family != AF_INET && sk->family != AF_INET6)
		return 1;
	return sk->type != SOCK_RAW;
}

SEC("cgroup/dev")
int device(struct bpf_cgroup_dev_ctx *ctx)
{
	short type = ctx->access_type & 0xffff;
	short access = ctx->access_type >> 16;

	if (type != BPF_DEVCG_DEV_CHAR || ctx->major != 1)
		return 0;
	switch (ctx->minor) {
	case 3:
	case 5:
	case 7 ... 9:
		return !(access & BPF_DEVCG_ACC_MKNOD);
	}
	return 0;
}

SEC("cgroup/sysctl")
int sysctl(struct bpf_sysctl *ctx)
{
	char name[32] = {};

	if (ctx->write)
		return 0;
	if (bpf_sysctl_get_name(ctx, name, sizeof(name), 0) < 0)
		return 0;
	return name[0] == 'n' && name[1] == 'e' && name[2] == 't';
}

SEC("cgroup/getsockopt")
int getsockopt(struct bpf_sockopt *ctx)
{
	__u8 *value = ctx->optval;
	__u8 *end = ctx->optval_end;

	if (ctx->level != SOL_IP || value + 1 > end)
		return 1;
	value[0] += 1;
	ctx->retval = 0;
	return 1;
}

char _license[] SEC("license") = "GPL";
