// Routes that run programs: wrapping packets of one network, counting, and a function of segment routing.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct gre {
	__be16 flags;
	__be16 protocol;
};

struct wrapped {
	struct iphdr ip;
	struct gre gre;
} __attribute__((packed));

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

const volatile __be32 gateway = bpf_htonl(0xc6336402);
const volatile __u32 largest = 1400;

static __always_inline void count(__u32 which, __u64 by)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &which);

	if (counter)
		*counter += by;
}

SEC("lwt_xmit")
int wrap(struct __sk_buff *skb)
{
	struct wrapped outer = {
		.ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_GRE },
		.gre = { .protocol = bpf_htons(ETH_P_IP) },
	};

	if (skb->len > largest) {
		count(0, 1);
		return BPF_DROP;
	}
	outer.ip.tot_len = bpf_htons(skb->len + sizeof(outer));
	outer.ip.daddr = gateway;
	if (bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, &outer, sizeof(outer)) < 0)
		return BPF_DROP;
	count(1, skb->len);
	return BPF_LWT_REROUTE;
}

SEC("lwt_out")
int leaving(struct __sk_buff *skb)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.version != 4)
		return BPF_OK;
	count(2, skb->len);
	skb->mark = ip.tos >> 2;
	skb->priority = ip.tos & 3;
	return ip.ttl < 2 ? BPF_DROP : BPF_OK;
}

SEC("lwt_in")
int arriving(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip6 = data;

	if (data + sizeof(*ip6) > end)
		return BPF_OK;
	if (ip6->version != 6 || ip6->hop_limit == 0)
		return BPF_DROP;
	count(3, bpf_ntohs(ip6->payload_len));
	return BPF_OK;
}

SEC("lwt_seg6local")
int segment(struct __sk_buff *skb)
{
	__u64 value = bpf_cpu_to_be64(skb->len);

	if (bpf_lwt_seg6_store_bytes(skb, sizeof(struct ipv6hdr) + 5, &value, 2) < 0)
		return BPF_DROP;
	return BPF_OK;
}

char _license[] SEC("license") = "GPL";
