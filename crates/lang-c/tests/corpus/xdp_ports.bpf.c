// Drops TCP and UDP packets to ports in a table, behind up to two VLAN tags and options of IP.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define MAX_TAGS 2

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, __u64);
} seen SEC(".maps");

struct cursor {
	void *pos;
	void *end;
};

static __always_inline int parse_eth(struct cursor *cursor, __be16 *proto)
{
	struct ethhdr *eth = cursor->pos;

	if ((void *)(eth + 1) > cursor->end)
		return -1;
	cursor->pos = eth + 1;
	*proto = eth->h_proto;
#pragma unroll
	for (int i = 0; i < MAX_TAGS; i++) {
		struct vlan_hdr *tag = cursor->pos;

		if (*proto != bpf_htons(ETH_P_8021Q) && *proto != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > cursor->end)
			return -1;
		*proto = tag->h_vlan_encapsulated_proto;
		cursor->pos = tag + 1;
	}
	return 0;
}

static __always_inline int parse_ip(struct cursor *cursor)
{
	struct iphdr *ip = cursor->pos;
	int length;

	if ((void *)(ip + 1) > cursor->end)
		return -1;
	length = ip->ihl * 4;
	if (length < (int)sizeof(*ip))
		return -1;
	if (cursor->pos + length > cursor->end)
		return -1;
	cursor->pos += length;
	return ip->protocol;
}

SEC("xdp")
int ports(struct xdp_md *ctx)
{
	struct cursor cursor = { .pos = (void *)(long)ctx->data, .end = (void *)(long)ctx->data_end };
	__u64 one = 1, *count;
	__be16 proto;
	__u16 port;

	if (parse_eth(&cursor, &proto) < 0)
		return XDP_DROP;
	if (proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	switch (parse_ip(&cursor)) {
	case IPPROTO_TCP: {
		struct tcphdr *tcp = cursor.pos;

		if ((void *)(tcp + 1) > cursor.end)
			return XDP_DROP;
		if (tcp->syn && tcp->fin)
			return XDP_DROP;
		port = bpf_ntohs(tcp->dest);
		break;
	}
	case IPPROTO_UDP: {
		struct udphdr *udp = cursor.pos;

		if ((void *)(udp + 1) > cursor.end)
			return XDP_DROP;
		port = bpf_ntohs(udp->dest);
		break;
	}
	case -1:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
	count = bpf_map_lookup_elem(&seen, &port);
	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&seen, &port, &one, BPF_ANY);
	return port == 23 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
