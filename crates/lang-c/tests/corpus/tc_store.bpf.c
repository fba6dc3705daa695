// Reads and writes packets through helpers, and mends checksums.
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define IP_CHECK (ETH_HLEN + offsetof(struct iphdr, check))
#define IP_SOURCE (ETH_HLEN + offsetof(struct iphdr, saddr))
#define TCP_CHECK (ETH_HLEN + sizeof(struct iphdr) + offsetof(struct tcphdr, check))
#define TCP_DEST (ETH_HLEN + sizeof(struct iphdr) + offsetof(struct tcphdr, dest))
#define IS_PSEUDO 0x10

static __always_inline int set_source(struct __sk_buff *skb, __be32 new)
{
	__be32 old;

	if (bpf_skb_load_bytes(skb, IP_SOURCE, &old, sizeof(old)) < 0)
		return -1;
	bpf_l4_csum_replace(skb, TCP_CHECK, old, new, IS_PSEUDO | sizeof(new));
	bpf_l3_csum_replace(skb, IP_CHECK, old, new, sizeof(new));
	return bpf_skb_store_bytes(skb, IP_SOURCE, &new, sizeof(new), 0);
}

SEC("tc")
int store(struct __sk_buff *skb)
{
	__u8 protocol = 0;
	__u16 port = bpf_htons(8080), old;

	if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, protocol), &protocol, 1))
		return TC_ACT_SHOT;
	if (protocol != IPPROTO_TCP)
		return TC_ACT_OK;
	if (set_source(skb, bpf_htonl(0x0a0a0a0a)))
		return TC_ACT_SHOT;
	if (bpf_skb_load_bytes(skb, TCP_DEST, &old, sizeof(old)))
		return TC_ACT_SHOT;
	bpf_l4_csum_replace(skb, TCP_CHECK, old, port, sizeof(port));
	bpf_skb_store_bytes(skb, TCP_DEST, &port, sizeof(port), 0);
	return TC_ACT_STOLEN;
}

char _license[] SEC("license") = "GPL";
