// Loops with and without the kernel's help, and functions that it calls back.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} values SEC(".maps");

u64 total;
u64 visits;

struct summing {
	u64 sum;
	u32 step;
};

static int each_index(u64 index, void *data)
{
	struct summing *state = data;

	state->sum += index * state->step;
	return index >= 50;
}

static long each_value(struct bpf_map *map, const u32 *key, u64 *value, void *data)
{
	*(u64 *)data += *key + *value;
	*value += 1;
	return 0;
}

SEC("tc")
int callbacks(struct __sk_buff *skb)
{
	struct summing state = { .step = 3 };
	u64 sum = 0;

	for (u32 i = 0; i < 4; i++) {
		u64 value = i * 11;

		bpf_map_update_elem(&values, &i, &value, BPF_NOEXIST);
	}
	bpf_loop(skb->len, each_index, &state, 0);
	visits = bpf_for_each_map_elem(&values, each_value, &sum, 0);
	total = state.sum * 1000 + sum;
	return 0;
}

SEC("tc")
int bounded(struct __sk_buff *skb)
{
	u64 hash = 5381;

	for (u32 i = 0; i < skb->len && i < 200; i++)
		hash = hash * 33 + i;
	total = hash;
	return hash & 0xff;
}

char _license[] SEC("license") = "GPL";
