// Addresses of services, translated where programs connect, send, and ask whom they are connected to.
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/socket.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SOCK_STREAM 1

struct frontend {
	__be32 address;
	__be16 port;
	__u8 protocol;
	__u8 slot;
};

struct backend {
	__be32 address;
	__be16 port;
	__u16 weight;
};

struct origin {
	__u64 cookie;
	__be32 address;
	__be32 port;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct frontend);
	__type(value, struct backend);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct origin);
	__type(value, struct frontend);
} origins SEC(".maps");

/* The first entry says how many servers a service has. */
static struct backend *choose(struct frontend *key)
{
	struct backend *head;

	key->slot = 0;
	head = bpf_map_lookup_elem(&services, key);
	if (!head || head->weight == 0)
		return NULL;
	key->slot = 1 + bpf_get_prandom_u32() % head->weight;
	return bpf_map_lookup_elem(&services, key);
}

static int translate(struct bpf_sock_addr *ctx)
{
	struct frontend key = { .address = ctx->user_ip4, .port = ctx->user_port, .protocol = ctx->protocol };
	struct backend *backend = choose(&key);
	struct origin origin = {};

	if (!backend)
		return 1;
	origin.cookie = bpf_get_socket_cookie(ctx);
	origin.address = backend->address;
	origin.port = backend->port;
	bpf_map_update_elem(&origins, &origin, &key, BPF_ANY);
	ctx->user_ip4 = backend->address;
	ctx->user_port = backend->port;
	return 1;
}

static int untranslate(struct bpf_sock_addr *ctx)
{
	struct origin origin = {};
	struct frontend *key;

	origin.cookie = bpf_get_socket_cookie(ctx);
	origin.address = ctx->user_ip4;
	origin.port = ctx->user_port;
	key = bpf_map_lookup_elem(&origins, &origin);
	if (key) {
		ctx->user_ip4 = key->address;
		ctx->user_port = key->port;
	}
	return 1;
}

SEC("cgroup/connect4")
int connect_v4(struct bpf_sock_addr *ctx)
{
	if (ctx->type != SOCK_STREAM && ctx->protocol != IPPROTO_UDP)
		return 1;
	return translate(ctx);
}

SEC("cgroup/sendmsg4")
int send_v4(struct bpf_sock_addr *ctx)
{
	return translate(ctx);
}

SEC("cgroup/recvmsg4")
int receive_v4(struct bpf_sock_addr *ctx)
{
	return untranslate(ctx);
}

SEC("cgroup/getpeername4")
int peer_v4(struct bpf_sock_addr *ctx)
{
	return untranslate(ctx);
}

SEC("cgroup/getsockname4")
int name_v4(struct bpf_sock_addr *ctx)
{
	return 1;
}

/* IPv4 inside IPv6 goes the same way, and the documentation prefix goes nowhere. */
SEC("cgroup/connect6")
int connect_v6(struct bpf_sock_addr *ctx)
{
	__be32 last = ctx->user_ip6[3];

	if (ctx->user_ip6[0] == bpf_htonl(0x20010db8))
		return 0;
	if (ctx->user_ip6[0] || ctx->user_ip6[1] || ctx->user_ip6[2] != bpf_htonl(0xffff))
		return 1;
	if ((last & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000)) {
		ctx->user_ip6[2] = 0;
		ctx->user_ip6[3] = bpf_htonl(1);
	}
	return 1;
}

SEC("cgroup/bind4")
int bind_v4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(8080))
		ctx->user_port = bpf_htons(18080);
	if (ctx->user_ip4 == 0)
		ctx->user_ip4 = bpf_htonl(0x7f000001);
	return 1;
}

char _license[] SEC("license") = "GPL";
