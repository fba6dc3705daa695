// Programs at the ends of redirections, on packets of several buffers, and extensions of others.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_devmap_val));
	__uint(max_entries, 32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CPUMAP);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct bpf_cpumap_val));
	__uint(max_entries, 8);
} processors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u8[ETH_ALEN]);
	__type(value, __u32);
} stations SEC(".maps");

const volatile __u32 processors_used = 4;
__u64 flooded, learned, lost;

/* A switch: stations are learned by their source, others are flooded to all ports. */
SEC("xdp")
int forward(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 ingress = ctx->ingress_ifindex, *port;
	struct ethhdr *eth = data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	__builtin_memcpy(mac, eth->h_source, ETH_ALEN);
	if (!(mac[0] & 1)) {
		port = bpf_map_lookup_elem(&stations, mac);
		if (!port || *port != ingress) {
			learned++;
			bpf_map_update_elem(&stations, mac, &ingress, BPF_ANY);
		}
	}
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	port = mac[0] & 1 ? NULL : bpf_map_lookup_elem(&stations, mac);
	if (port) {
		if (*port == ingress)
			return XDP_DROP;
		return bpf_redirect_map(&ports, *port, XDP_PASS);
	}
	flooded++;
	return bpf_redirect_map(&ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

SEC("xdp")
int spread(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__u32 hash;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	hash = (ip->saddr ^ ip->daddr) * 0x9e3779b1u;
	return bpf_redirect_map(&processors, (hash >> 16) % processors_used, 0);
}

SEC("xdp/devmap")
int leave(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	return ctx->egress_ifindex == ctx->ingress_ifindex ? XDP_DROP : XDP_PASS;
}

SEC("xdp/cpumap")
int arrive(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data > 1500 ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags")
int whole(struct xdp_md *ctx)
{
	__u8 bytes[16];
	__u64 length = bpf_xdp_get_buff_len(ctx);

	if (length < sizeof(bytes) || bpf_xdp_load_bytes(ctx, length - sizeof(bytes), bytes, sizeof(bytes))) {
		lost++;
		return XDP_DROP;
	}
	for (int i = 0; i < 8; i++) {
		__u8 swapped = bytes[i];

		bytes[i] = bytes[15 - i];
		bytes[15 - i] = swapped ^ i;
	}
	if (bpf_xdp_store_bytes(ctx, length - sizeof(bytes), bytes, sizeof(bytes)))
		return XDP_ABORTED;
	return bpf_xdp_adjust_tail(ctx, -4) ? XDP_DROP : XDP_TX;
}

char _license[] SEC("license") = "GPL";
