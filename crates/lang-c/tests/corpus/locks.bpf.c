// Locks, timers and storage.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define CLOCK_MONOTONIC 1

struct element {
	struct bpf_spin_lock lock;
	int count;
	u64 bytes;
};

struct timed {
	struct bpf_timer timer;
	u32 fired;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct element);
} locked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct timed);
} timers SEC(".maps");

SEC("tc")
int add(struct __sk_buff *skb)
{
	u32 key = 0;
	struct element *element = bpf_map_lookup_elem(&locked, &key);

	if (!element)
		return 1;
	bpf_spin_lock(&element->lock);
	element->count++;
	element->bytes += skb->len;
	bpf_spin_unlock(&element->lock);
	return 0;
}

static int on_timer(void *map, int *key, struct timed *value)
{
	value->fired++;
	return 0;
}

SEC("tc")
int arm(struct __sk_buff *skb)
{
	u32 key = 0;
	struct timed *timed = bpf_map_lookup_elem(&timers, &key);

	if (!timed)
		return 1;
	bpf_timer_init(&timed->timer, &timers, CLOCK_MONOTONIC);
	bpf_timer_set_callback(&timed->timer, on_timer);
	return 0;
}

char _license[] SEC("license") = "GPL";
