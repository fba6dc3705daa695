// Queues, stacks, filters of Bloom, caches, and variables of each processor.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, 4);
	__type(value, __u32);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, 4);
	__type(value, __u32);
} stack SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__uint(map_extra, 3);
	__type(value, __u32);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 100);
	__type(key, __u32);
	__type(value, __u32);
} cache SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} scratch SEC(".maps");

__u32 popped, peeked, hits, misses;

SEC("tc")
int queues(struct __sk_buff *skb)
{
	__u32 value = skb->len, zero = 0, *cached;
	__u64 *cell;

	bpf_map_push_elem(&queue, &value, BPF_EXIST);
	bpf_map_push_elem(&stack, &value, BPF_EXIST);
	if (value % 3 == 0 && bpf_map_pop_elem(&queue, &value) == 0)
		popped += value;
	if (bpf_map_peek_elem(&stack, &value) == 0)
		peeked ^= value;
	bpf_map_push_elem(&bloom, &value, 0);
	if (bpf_map_peek_elem(&bloom, &value))
		misses++;
	cached = bpf_map_lookup_elem(&cache, &value);
	if (cached)
		hits += *cached;
	else
		bpf_map_update_elem(&cache, &value, &value, BPF_ANY);
	cell = bpf_map_lookup_elem(&scratch, &zero);
	if (cell)
		*cell += value;
	return hits & 0xff;
}

char _license[] SEC("license") = "GPL";
