// Sockets that packets belong to: looked up, compared, given away, with cookies for those that knock.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define TC_ACT_OK 0
#define TC_ACT_SHOT 2
#define ETH_P_IP 0x0800
#define ETH_HLEN 14
#define AF_INET 2
#define BPF_TCP_LISTEN_STATE 10

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} servers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, u64);
} seen SEC(".maps");

const volatile u16 lowest = 7000, highest = 7999;
u64 found[4], cookies;

static __always_inline struct bpf_sock_tuple *tuple_of(void *data, void *end, struct iphdr *ip, int *proto)
{
	if (ip->ihl != 5)
		return NULL;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return NULL;
	*proto = ip->protocol;
	return (struct bpf_sock_tuple *)&ip->saddr;
}

SEC("tc")
int find_socket(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct bpf_sock_tuple *tuple;
	struct bpf_sock *sk;
	struct bpf_tcp_sock *tcp;
	int proto = 0;
	u64 *count;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	tuple = tuple_of(data, end, ip, &proto);
	if (!tuple || (void *)tuple + sizeof(tuple->ipv4) > end)
		return TC_ACT_OK;
	if (proto == IPPROTO_UDP)
		sk = bpf_sk_lookup_udp(skb, tuple, sizeof(tuple->ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sk = bpf_sk_lookup_tcp(skb, tuple, sizeof(tuple->ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk) {
		found[0]++;
		return TC_ACT_SHOT;
	}
	found[1 + (sk->state == BPF_TCP_LISTEN_STATE)]++;
	count = bpf_sk_storage_get(&seen, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (count)
		*count += skb->len;
	tcp = bpf_tcp_sock(sk);
	if (tcp)
		found[3] += tcp->snd_cwnd;
	bpf_sk_release(sk);
	return TC_ACT_OK;
}

SEC("xdp")
int knock(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);
	s64 cookie;

	if ((void *)(tcp + 1) > end || ip->ihl != 5 || ip->protocol != IPPROTO_TCP)
		return XDP_PASS;
	if (!tcp->syn || tcp->ack || tcp->doff != 5)
		return XDP_PASS;
	cookie = bpf_tcp_raw_gen_syncookie_ipv4(ip, tcp, sizeof(*tcp));
	if (cookie < 0)
		return XDP_DROP;
	cookies++;
	tcp->ack_seq = bpf_htonl(bpf_ntohl(tcp->seq) + 1);
	tcp->ack = 1;
	tcp->window = bpf_htons((cookie >> 32) & 0xffff);
	return XDP_TX;
}

SEC("sk_lookup")
int dispatch(struct bpf_sk_lookup *ctx)
{
	struct bpf_sock *sk;
	u32 index;
	int error;

	if (ctx->family != AF_INET || ctx->local_port < lowest || ctx->local_port > highest)
		return SK_PASS;
	index = (ctx->remote_ip4 ^ ctx->remote_port) & 3;
	sk = bpf_map_lookup_elem(&servers, &index);
	if (!sk)
		return SK_DROP;
	error = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_REPLACE);
	bpf_sk_release(sk);
	return error ? SK_DROP : SK_PASS;
}

char LICENSE[] SEC("license") = "GPL";
