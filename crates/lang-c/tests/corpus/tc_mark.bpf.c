// Marks packets by their addresses, with a prefix trie and fields of the context.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct key {
	__u32 length;
	__be32 address;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 100);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct key);
	__type(value, __u32);
} prefixes SEC(".maps");

SEC("tc")
int mark(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;
	struct key key = { .length = 32 };
	struct iphdr *ip;
	__u32 *found;

	skb->cb[0] = 1;
	skb->cb[4] = skb->len;
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_PIPE;
	if (data + ETH_HLEN + sizeof(*ip) > data_end)
		return TC_ACT_SHOT;
	ip = data + ETH_HLEN;
	key.address = ip->daddr;
	found = bpf_map_lookup_elem(&prefixes, &key);
	skb->mark = found ? *found : skb->hash ? 7 : 8;
	skb->priority = skb->cb[4];
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
