// The second of two objects that are linked.
#include "skep.h"

struct shared {
    u32 a;
    u64 b;
};
extern struct {
    __uint(type, HASH);
    __type(key, u32);
    __type(value, struct shared);
    __uint(max_entries, 16);
} common __attribute__((section(".maps")));

extern int LINUX_KERNEL_VERSION __kconfig;
u64 counter = 100;
extern u32 setting;
static volatile u32 local = 20;
const volatile u64 constant_b = 2;

static __noinline u32 helper(u32 x)
{
    local += x;
    return x * 3;
}

__noinline u32 add(u32 a, u32 b)
{
    return a + b + helper(a);
}

__noinline u32 choose(u32 x)
{
    return x + 2000;
}

SEC("tc") int second(void *ctx)
{
    u32 key = 2;
    struct shared *value = map_lookup(&common, &key);
    setting++;
    return (value ? value->a : 0) + helper(7) + constant_b + LINUX_KERNEL_VERSION;
}
