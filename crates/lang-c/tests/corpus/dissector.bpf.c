// The dissector of flows: VLAN tags, MPLS, IPv4 with options and fragments, extension headers of IPv6.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum part { MPLS, IPV6, EXTENSION, FRAGMENT };

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u32));
	__array(values, int (void *));
} parts SEC(".maps");

struct vlan {
	__be16 tci;
	__be16 proto;
};

struct extension {
	__u8 next;
	__u8 length;
};

struct fragment {
	__u8 next;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

/* A header at the place of the keys, in the linear part or copied. */
static __always_inline void *header(struct __sk_buff *skb, __u16 length, void *buffer)
{
	void *end = (void *)(long)skb->data_end;
	void *data = (void *)(long)skb->data;
	__u16 thoff = skb->flow_keys->thoff;

	if (thoff > 4096)
		return NULL;
	if (data + thoff + length <= end)
		return data + thoff;
	if (bpf_skb_load_bytes(skb, thoff, buffer, length))
		return NULL;
	return buffer;
}

static __always_inline int ports(struct __sk_buff *skb, __u8 protocol)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	__be16 buffer[2], *both;

	keys->ip_proto = protocol;
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		both = header(skb, sizeof(buffer), buffer);
		if (!both)
			return BPF_DROP;
		keys->sport = both[0];
		keys->dport = both[1];
		return BPF_OK;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return BPF_OK;
	default:
		return BPF_DROP;
	}
}

static __always_inline int ethernet(struct __sk_buff *skb, __be16 protocol)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	struct iphdr buffer, *ip;

	switch (protocol) {
	case bpf_htons(ETH_P_IP):
		ip = header(skb, sizeof(buffer), &buffer);
		if (!ip || ip->ihl < 5)
			return BPF_DROP;
		keys->addr_proto = ETH_P_IP;
		keys->ipv4_src = ip->saddr;
		keys->ipv4_dst = ip->daddr;
		keys->thoff += ip->ihl << 2;
		if (ip->frag_off & bpf_htons(0x3fff)) {
			keys->is_frag = 1;
			if (ip->frag_off & bpf_htons(0x1fff)) {
				keys->ip_proto = ip->protocol;
				return BPF_OK;
			}
			keys->is_first_frag = 1;
			if (!(keys->flags & BPF_FLOW_DISSECTOR_F_PARSE_1ST_FRAG))
				return BPF_OK;
		}
		return ports(skb, ip->protocol);
	case bpf_htons(ETH_P_IPV6):
		bpf_tail_call_static(skb, &parts, IPV6);
		return BPF_DROP;
	case bpf_htons(0x8847):
	case bpf_htons(0x8848):
		bpf_tail_call_static(skb, &parts, MPLS);
		return BPF_DROP;
	default:
		return BPF_DROP;
	}
}

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	struct vlan buffer, *vlan;
	__be16 protocol = keys->n_proto;

	for (int i = 0; i < 2; i++) {
		if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
			break;
		vlan = header(skb, sizeof(buffer), &buffer);
		if (!vlan)
			return BPF_DROP;
		keys->nhoff += sizeof(*vlan);
		keys->thoff = keys->nhoff;
		keys->n_proto = protocol = vlan->proto;
	}
	return ethernet(skb, protocol);
}

SEC("flow_dissector")
int dissect_mpls(struct __sk_buff *skb)
{
	__be32 buffer, *label = header(skb, sizeof(buffer), &buffer);

	return label ? BPF_OK : BPF_DROP;
}

SEC("flow_dissector")
int dissect_ipv6(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	struct ipv6hdr buffer, *ip6 = header(skb, sizeof(buffer), &buffer);
	struct extension extension_buffer, *extension;
	struct fragment fragment_buffer, *fragment;
	__u8 next;

	if (!ip6)
		return BPF_DROP;
	keys->addr_proto = ETH_P_IPV6;
	__builtin_memcpy(&keys->ipv6_src, &ip6->saddr, 2 * sizeof(struct in6_addr));
	keys->thoff += sizeof(*ip6);
	keys->flow_label = *(__be32 *)ip6 & bpf_htonl(0xfffff);
	next = ip6->nexthdr;
	for (int i = 0; i < 3; i++) {
		if (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS) {
			extension = header(skb, sizeof(*extension), &extension_buffer);
			if (!extension)
				return BPF_DROP;
			keys->thoff += (1 + extension->length) << 3;
			next = extension->next;
		} else if (next == IPPROTO_FRAGMENT) {
			fragment = header(skb, sizeof(*fragment), &fragment_buffer);
			if (!fragment)
				return BPF_DROP;
			keys->is_frag = 1;
			keys->thoff += sizeof(*fragment);
			keys->ip_proto = fragment->next;
			if (fragment->offset & bpf_htons(0xfff8))
				return BPF_OK;
			keys->is_first_frag = 1;
			next = fragment->next;
		} else {
			break;
		}
	}
	return ports(skb, next);
}

char _license[] SEC("license") = "GPL";
