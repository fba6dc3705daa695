// Subprograms in every constellation, callbacks, timers and spin locks.
#include "skep.h"

struct bpf_timer {
    u64 opaque[2];
} __attribute__((aligned(8)));
struct bpf_spin_lock {
    u32 val;
};

struct timed {
    struct bpf_timer timer;
    u64 count;
};
struct locked {
    struct bpf_spin_lock lock;
    u32 count;
};

struct {
    __uint(type, ARRAY);
    __type(key, u32);
    __type(value, struct timed);
    __uint(max_entries, 1);
} timers SEC(".maps");
struct {
    __uint(type, HASH);
    __type(key, u32);
    __type(value, struct locked);
    __uint(max_entries, 1);
} locks SEC(".maps");

u32 state;

static __noinline u32 leaf(u32 x)
{
    state += x;
    return x * 3;
}

__noinline u32 middle(u32 x)
{
    return leaf(x) + leaf(x + 1);
}

static long step(u32 index, void *ctx)
{
    *(u32 *)ctx += leaf(index);
    return 0;
}

static long each(void *map, u32 *key, struct locked *value, void *ctx)
{
    *(u32 *)ctx += middle(*key);
    return 0;
}

static int expired(void *map, u32 *key, struct timed *value)
{
    value->count++;
    return 0;
}

SEC("tc") int nested(void *ctx)
{
    return middle(2) + leaf(10);
}

SEC("tc") int shared(void *ctx)
{
    return leaf(7);
}

SEC("tc") int callbacks(void *ctx)
{
    u32 sum = 0;
    loop(4, step, &sum, 0);
    for_each_map_elem(&locks, each, &sum, 0);
    return sum;
}

SEC("tc") int timer(void *ctx)
{
    u32 zero = 0;
    struct timed *value = map_lookup(&timers, &zero);
    if (!value)
        return 1;
    timer_init(&value->timer, &timers, 1);
    timer_set_callback(&value->timer, expired);
    return timer_start(&value->timer, 1000000, 0);
}

SEC("tc") int lock(void *ctx)
{
    u32 zero = 0;
    struct locked *value = map_lookup(&locks, &zero);
    if (!value)
        return 1;
    spin_lock(&value->lock);
    value->count++;
    spin_unlock(&value->lock);
    return 0;
}
