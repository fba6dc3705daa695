// Kinds of programs for the network that few programs have.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

SEC("lwt_in")
int on_input(struct __sk_buff *skb)
{
	return skb->len > 1500 ? BPF_DROP : BPF_OK;
}

SEC("lwt_xmit")
int on_output(struct __sk_buff *skb)
{
	struct iphdr header = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_IPIP };

	header.tot_len = bpf_htons(skb->len + sizeof(header));
	header.daddr = bpf_htonl(0x0a000002);
	return bpf_lwt_push_encap(skb, BPF_LWT_ENCAP_IP, &header, sizeof(header)) ? BPF_DROP : BPF_LWT_REROUTE;
}

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	struct iphdr ip;

	if (keys->n_proto != bpf_htons(ETH_P_IP))
		return BPF_DROP;
	if (bpf_skb_load_bytes(skb, keys->thoff, &ip, sizeof(ip)))
		return BPF_DROP;
	keys->addr_proto = ETH_P_IP;
	keys->ipv4_src = ip.saddr;
	keys->ipv4_dst = ip.daddr;
	keys->ip_proto = ip.protocol;
	keys->thoff += ip.ihl << 2;
	return BPF_OK;
}

SEC("cgroup/recvmsg4")
int received(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == bpf_htons(5353))
		ctx->user_port = bpf_htons(53);
	return 1;
}

SEC("cgroup/bind6")
int bound(struct bpf_sock_addr *ctx)
{
	__u32 any = ctx->user_ip6[0] | ctx->user_ip6[1] | ctx->user_ip6[2] | ctx->user_ip6[3];

	return any != 0 || ctx->type != SOCK_STREAM;
}

SEC("action")
int act(struct __sk_buff *skb)
{
	return bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), 7) ? 2 : 3;
}

char _license[] SEC("license") = "GPL";
