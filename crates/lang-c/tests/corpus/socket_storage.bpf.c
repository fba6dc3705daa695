// What sockets did, kept at the sockets: opened, connected, sent and received, by cgroup.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10

struct socket_info {
	u64 cookie;
	u64 opened;
	u64 sent, received;
	u32 pid;
	u16 family;
	u8 protocol;
	bool listening;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_info);
} info SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, struct bpf_cgroup_storage_key);
	__type(value, u64[2]);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u16);
	__type(value, u64);
} by_protocol SEC(".maps");

SEC("cgroup/sock_create")
int created(struct bpf_sock *sk)
{
	struct socket_info *socket = bpf_sk_storage_get(&info, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (!socket)
		return 1;
	socket->opened = bpf_ktime_get_ns();
	socket->family = sk->family;
	socket->protocol = sk->protocol;
	socket->cookie = bpf_get_socket_cookie(sk);
	socket->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(socket->comm, sizeof(socket->comm));
	return sk->type != 3 /* SOCK_RAW */ || socket->pid == 1;
}

SEC("cgroup/sock_release")
int released(struct bpf_sock *sk)
{
	struct socket_info *socket = bpf_sk_storage_get(&info, sk, NULL, 0);
	u16 protocol = sk->protocol;
	u64 bytes, *sum;

	if (!socket)
		return 1;
	bytes = socket->sent + socket->received;
	sum = bpf_map_lookup_elem(&by_protocol, &protocol);
	if (sum)
		__sync_fetch_and_add(sum, bytes);
	else
		bpf_map_update_elem(&by_protocol, &protocol, &bytes, BPF_ANY);
	return 1;
}

static __always_inline int account(struct __sk_buff *skb, bool outgoing)
{
	struct bpf_sock *sk = skb->sk;
	struct socket_info *socket;
	u64 *total = bpf_get_local_storage(&totals, 0);

	__sync_fetch_and_add(&total[outgoing], skb->len);
	if (!sk || !(sk = bpf_sk_fullsock(sk)))
		return 1;
	socket = bpf_sk_storage_get(&info, sk, NULL, 0);
	if (socket)
		__sync_fetch_and_add(outgoing ? &socket->sent : &socket->received, skb->len);
	return 1;
}

SEC("cgroup_skb/ingress")
int incoming(struct __sk_buff *skb)
{
	return account(skb, false);
}

SEC("cgroup_skb/egress")
int outgoing(struct __sk_buff *skb)
{
	return account(skb, true);
}

SEC("cgroup/post_bind4")
int bound(struct bpf_sock *sk)
{
	struct socket_info *socket = bpf_sk_storage_get(&info, sk, NULL, 0);

	/* Ports of the system belong to root, whatever the sysctl says. */
	if (sk->src_port && sk->src_port < 1024 && (u32)bpf_get_current_uid_gid() != 0)
		return 0;
	if (socket)
		socket->listening = sk->src_ip4 == 0;
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
