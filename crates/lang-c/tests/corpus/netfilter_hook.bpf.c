// A hook of netfilter: what may come in, by protocol and port, with the packet read through a dynamic pointer.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define NF_DROP 0
#define NF_ACCEPT 1

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 buffer__szk) __ksym;

struct service {
	u16 port;
	u8 protocol;
	u8 family;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct service);
	__type(value, u64);
} allowed SEC(".maps");

u64 verdicts[2];
u64 by_interface[8];

SEC("netfilter")
int local_in(struct bpf_nf_ctx *ctx)
{
	const struct nf_hook_state *state = ctx->state;
	struct sk_buff *skb = ctx->skb;
	struct iphdr header, *ip;
	struct service key = {};
	struct bpf_dynptr packet;
	__be16 ports[2], *both;
	u64 *count;
	int verdict = NF_ACCEPT;

	if (state->pf != 2)
		return NF_ACCEPT;
	by_interface[state->in->ifindex & 7] += skb->len;
	if (bpf_dynptr_from_skb((struct __sk_buff *)skb, 0, &packet))
		return NF_DROP;
	ip = bpf_dynptr_slice(&packet, 0, &header, sizeof(header));
	if (!ip)
		return NF_DROP;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		goto out;
	key.protocol = ip->protocol;
	key.family = state->pf;
	both = bpf_dynptr_slice(&packet, ip->ihl * 4, ports, sizeof(ports));
	if (!both) {
		verdict = NF_DROP;
		goto out;
	}
	key.port = bpf_ntohs(both[1]);
	count = bpf_map_lookup_elem(&allowed, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else if (key.port < 1024)
		verdict = NF_DROP;
out:
	__sync_fetch_and_add(&verdicts[verdict], 1);
	return verdict;
}

char LICENSE[] SEC("license") = "GPL";
