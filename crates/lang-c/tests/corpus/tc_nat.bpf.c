// Translation of addresses and ports in both directions, with checksums mended by their differences.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define IP_OFF ETH_HLEN
#define L4_OFF (ETH_HLEN + sizeof(struct iphdr))
#define FIRST_PORT 32768
#define PORTS 1024

struct flow {
	__be32 address;
	__be16 port;
	__u16 protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS);
	__type(key, struct flow);
	__type(value, __be16);
} outward SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS);
	__type(key, __be16);
	__type(value, struct flow);
} inward SEC(".maps");

const volatile __be32 public_address = bpf_htonl(0xcb007101);
__u32 next_port;
__u32 errors[3];
enum { SHORT, FULL, UNKNOWN };

static int l4_check_offset(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? L4_OFF + offsetof(struct tcphdr, check) : L4_OFF + offsetof(struct udphdr, check);
}

static int rewrite(struct __sk_buff *skb, int address_at, int port_at, __be32 old, __be32 new, __be16 old_port,
		   __be16 new_port, __u8 protocol)
{
	int check = l4_check_offset(protocol);
	__u64 flags = protocol == IPPROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
	long error = 0;

	error |= bpf_l4_csum_replace(skb, check, old, new, BPF_F_PSEUDO_HDR | flags | sizeof(new));
	error |= bpf_l4_csum_replace(skb, check, old_port, new_port, flags | sizeof(new_port));
	error |= bpf_l3_csum_replace(skb, IP_OFF + offsetof(struct iphdr, check), old, new, sizeof(new));
	error |= bpf_skb_store_bytes(skb, address_at, &new, sizeof(new), 0);
	error |= bpf_skb_store_bytes(skb, port_at, &new_port, sizeof(new_port), 0);
	return error ? TC_ACT_SHOT : TC_ACT_OK;
}

static _Bool headers(struct __sk_buff *skb, struct iphdr *ip, __be16 ports[2])
{
	__be16 proto;

	if (bpf_skb_load_bytes(skb, offsetof(struct ethhdr, h_proto), &proto, sizeof(proto)) || proto != bpf_htons(ETH_P_IP))
		return 0;
	if (bpf_skb_load_bytes(skb, IP_OFF, ip, sizeof(*ip)) || bpf_skb_load_bytes(skb, L4_OFF, ports, 4)) {
		errors[SHORT]++;
		return 0;
	}
	return ip->ihl == 5 && (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP);
}

SEC("tc")
int leave(struct __sk_buff *skb)
{
	struct flow flow = {};
	struct iphdr ip;
	__be16 ports[2], *known, port;

	if (!headers(skb, &ip, ports))
		return TC_ACT_OK;
	flow.address = ip.saddr;
	flow.port = ports[0];
	flow.protocol = ip.protocol;
	known = bpf_map_lookup_elem(&outward, &flow);
	if (known) {
		port = *known;
	} else {
		port = bpf_htons(FIRST_PORT + __sync_fetch_and_add(&next_port, 1) % PORTS);
		if (bpf_map_update_elem(&inward, &port, &flow, BPF_NOEXIST) ||
		    bpf_map_update_elem(&outward, &flow, &port, BPF_ANY)) {
			errors[FULL]++;
			return TC_ACT_SHOT;
		}
	}
	return rewrite(skb, IP_OFF + offsetof(struct iphdr, saddr), L4_OFF, ip.saddr, public_address, ports[0], port,
		       ip.protocol);
}

SEC("tc")
int enter(struct __sk_buff *skb)
{
	struct flow *flow, copy;
	struct iphdr ip;
	__be16 ports[2];

	if (!headers(skb, &ip, ports) || ip.daddr != public_address)
		return TC_ACT_OK;
	flow = bpf_map_lookup_elem(&inward, &ports[1]);
	if (!flow || flow->protocol != ip.protocol) {
		errors[UNKNOWN]++;
		return TC_ACT_SHOT;
	}
	copy = *flow;
	return rewrite(skb, IP_OFF + offsetof(struct iphdr, daddr), L4_OFF + 2, ip.daddr, copy.address, ports[1],
		       copy.port, ip.protocol);
}

char _license[] SEC("license") = "GPL";
