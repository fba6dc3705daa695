// Packets to other devices, processors and sockets.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, int);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct bpf_cpumap_val));
} processors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4);
	__type(key, int);
	__type(value, int);
} queues SEC(".maps");

SEC("xdp")
int to_device(struct xdp_md *ctx)
{
	return bpf_redirect_map(&devices, ctx->ingress_ifindex & 7, XDP_DROP);
}

SEC("xdp")
int to_processor(struct xdp_md *ctx)
{
	return bpf_redirect_map(&processors, ctx->rx_queue_index % 4, XDP_PASS);
}

SEC("xdp")
int to_socket(struct xdp_md *ctx)
{
	int index = ctx->rx_queue_index;

	if (bpf_map_lookup_elem(&queues, &index))
		return bpf_redirect_map(&queues, index, 0);
	return XDP_PASS;
}

SEC("tc")
int to_loopback(struct __sk_buff *skb)
{
	if (skb->ifindex == 1 && skb->len < 100)
		return TC_ACT_OK;
	return bpf_redirect(1, BPF_F_INGRESS);
}

SEC("tc")
int tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {};

	key.tunnel_id = skb->mark ?: 77;
	key.remote_ipv4 = 0x0a000001;
	key.tunnel_ttl = 64;
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX) < 0)
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
