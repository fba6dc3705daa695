// An access list by source network: the longest prefix decides, and each rule counts what it matched.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum verdict { ALLOW, DENY, COUNT_ONLY };

struct v4_key {
	__u32 prefix;
	__be32 addr;
};

struct v6_key {
	__u32 prefix;
	struct in6_addr addr;
};

struct rule {
	enum verdict verdict;
	__u32 id;
};

struct counters {
	__u64 packets;
	__u64 bytes;
	__u16 shortest;
	__u16 longest;
	__u32 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v4_key);
	__type(value, struct rule);
} rules4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v6_key);
	__type(value, struct rule);
} rules6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct counters);
} hits SEC(".maps");

const volatile enum verdict default_verdict = ALLOW;
const volatile _Bool learn = 1;

static void count(__u32 id, __u16 length)
{
	struct counters first = { .packets = 1, .bytes = length, .shortest = length, .longest = length, .last = length };
	struct counters *seen = bpf_map_lookup_elem(&hits, &id);

	if (!seen) {
		bpf_map_update_elem(&hits, &id, &first, BPF_NOEXIST);
		return;
	}
	__sync_fetch_and_add(&seen->packets, 1);
	__sync_fetch_and_add(&seen->bytes, length);
	if (length < seen->shortest)
		seen->shortest = length;
	seen->last = length;
	if (length > seen->longest)
		seen->longest = length;
}

static int apply(const struct rule *rule, __u16 length)
{
	enum verdict verdict = rule ? rule->verdict : default_verdict;

	count(rule ? rule->id : ~0u, length);
	return verdict == DENY ? XDP_DROP : XDP_PASS;
}

/* Networks that nobody has written down are entered with the width of their class. */
static void learn_network(__be32 addr)
{
	struct rule rule = { .verdict = COUNT_ONLY };
	struct v4_key key = { .addr = addr };
	__u8 first = bpf_ntohl(addr) >> 24;

	key.prefix = first < 128 ? 8 : first < 192 ? 16 : 24;
	rule.id = bpf_ntohl(addr) & (~0u << (32 - key.prefix));
	if (first == 10)
		rule.verdict = DENY;
	bpf_map_update_elem(&rules4, &key, &rule, BPF_ANY);
}

SEC("xdp")
int access_list(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	__u16 length = end - data;

	if (data + sizeof(*eth) > end)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		struct v4_key key = { .prefix = 32 };
		struct rule *rule;

		if ((void *)(ip + 1) > end)
			return XDP_DROP;
		key.addr = ip->saddr;
		rule = bpf_map_lookup_elem(&rules4, &key);
		if (!rule && learn)
			learn_network(ip->saddr);
		return apply(rule, length);
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = (void *)(eth + 1);
		struct v6_key key = { .prefix = 128 };

		if ((void *)(ip6 + 1) > end)
			return XDP_DROP;
		key.addr = ip6->saddr;
		return apply(bpf_map_lookup_elem(&rules6, &key), length);
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
