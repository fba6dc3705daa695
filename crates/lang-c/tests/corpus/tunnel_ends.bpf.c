// Ends of tunnels: VXLAN and Geneve headers made of bits, tags of VLANs, metadata of tunnel devices, pacing.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct vxlan {
	__u8 r0 : 3, has_vni : 1, r1 : 4;
	__u8 r2[3];
	__u32 vni_be : 24;
	__u32 r3 : 8;
} __attribute__((packed));

struct geneve {
	__u8 option_words : 6, version : 2;
	__u8 r0 : 6, critical : 1, control : 1;
	__be16 protocol;
	__u8 vni[3];
	__u8 r1;
};

struct tag {
	__u16 id : 12;
	__u16 drop : 1;
	__u16 priority : 3;
};

union tagged {
	struct tag tag;
	__u16 number;
};

struct flow_pace {
	__u64 next;
	__u32 bytes_per_second;
	__u32 delayed;
};

_Static_assert(sizeof(struct vxlan) == 8 && sizeof(struct geneve) == 8 && sizeof(union tagged) == 2, "headers");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct flow_pace);
} paces SEC(".maps");

const volatile __u16 port = 80;
struct tag last_tag;
__u64 versions[4];

static void count(__u32 network, __u64 bytes)
{
	__u64 *sum = bpf_map_lookup_elem(&networks, &network);

	if (sum)
		*sum += bytes;
	else
		bpf_map_update_elem(&networks, &network, &bytes, BPF_NOEXIST);
}

SEC("xdp")
int count_networks(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);
	struct vxlan *vxlan = (void *)(udp + 1);
	struct geneve *geneve = (void *)vxlan;

	if ((void *)(vxlan + 1) > end)
		return XDP_PASS;
	if (udp->dest == bpf_htons(port)) {
		count(bpf_ntohl(vxlan->vni_be << 8 | 0) >> 8 ^ vxlan->r0, end - data);
		vxlan->has_vni ^= 1;
		vxlan->r3 += 3;
		vxlan->vni_be -= 1;
		return vxlan->has_vni ? XDP_TX : XDP_PASS;
	}
	versions[geneve->version]++;
	count(geneve->vni[0] << 16 | geneve->vni[1] << 8 | geneve->vni[2], geneve->option_words * 4);
	geneve->critical = !geneve->control;
	geneve->option_words >>= 1;
	return XDP_TX;
}

SEC("tc")
int tag_packets(struct __sk_buff *skb)
{
	union tagged tagged = { .tag = { .id = 100 + (skb->len & 7), .priority = skb->len % 9u } };

	if (skb->vlan_present) {
		tagged.number = skb->vlan_tci;
		last_tag = tagged.tag;
		return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_OK;
	}
	tagged.tag.priority += 5;
	tagged.tag.drop = ~tagged.tag.drop;
	last_tag = tagged.tag;
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), tagged.number) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("tc")
int into_tunnel(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = { .tunnel_id = skb->mark, .remote_ipv4 = 0xc0000207, .tunnel_ttl = 64 };
	__u8 options[] = { 1, 2, 3, 4, 5, 6, 7, 8 };

	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX) < 0)
		return TC_ACT_SHOT;
	bpf_skb_set_tunnel_opt(skb, options, sizeof(options));
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

SEC("tc")
int pace(struct __sk_buff *skb)
{
	struct flow_pace first = { .bytes_per_second = 1 }, *pace;
	__u32 hash = skb->mark;
	__u64 now, delay;

	bpf_map_update_elem(&paces, &hash, &first, BPF_NOEXIST);
	pace = bpf_map_lookup_elem(&paces, &hash);
	if (!pace || !pace->bytes_per_second)
		return TC_ACT_OK;
	delay = (__u64)skb->wire_len * 1000000000 / pace->bytes_per_second;
	now = bpf_ktime_get_ns();
	if (skb->tstamp > now)
		now = skb->tstamp;
	if (pace->next <= now) {
		pace->next = now + delay;
		return TC_ACT_OK;
	}
	if (pace->next - now > 2000000000)
		return TC_ACT_SHOT;
	skb->tstamp = pace->next;
	__sync_fetch_and_add(&pace->next, delay);
	pace->delayed++;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
