// A timer whose callback sets it again, and a function that is both called and called back.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define CLOCK_BOOTTIME 7
#define SECOND 1000000000ULL

struct ticker {
	struct bpf_timer timer;
	u64 fired;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct ticker);
} tickers SEC(".maps");

static int fired(void *map, u32 *key, struct ticker *ticker)
{
	ticker->fired++;
	bpf_timer_start(&ticker->timer, SECOND, 0);
	bpf_timer_set_callback(&ticker->timer, fired);
	return 0;
}

struct sum {
	u64 total;
};

static __attribute__((noinline)) long add(u32 index, void *context)
{
	struct sum *sum = context;

	sum->total += index;
	return 0;
}

SEC("tc")
int begins(struct __sk_buff *skb)
{
	u32 key = 0;
	struct ticker *ticker = bpf_map_lookup_elem(&tickers, &key);

	if (!ticker)
		return 1;
	bpf_timer_init(&ticker->timer, &tickers, CLOCK_BOOTTIME);
	bpf_timer_set_callback(&ticker->timer, fired);
	return 2;
}

SEC("tc")
int sums(struct __sk_buff *skb)
{
	struct sum sum = {};

	bpf_loop(skb->len & 15, add, &sum, 0);
	add(1000, &sum);
	return (int)sum.total;
}
