// The first of two objects that are linked: uses what the other one defines, and has namesakes of its own.
#include "skep.h"

struct shared {
    u32 a;
    u64 b;
};
struct {
    __uint(type, HASH);
    __type(key, u32);
    __type(value, struct shared);
    __uint(max_entries, 16);
} common SEC(".maps");

struct {
    __uint(type, ARRAY);
    __type(key, u32);
    __type(value, u64);
    __uint(max_entries, 2);
} own_a SEC(".maps");

extern u32 add(u32 a, u32 b);
extern u64 counter;
extern int LINUX_KERNEL_VERSION __kconfig;
u32 setting = 3;
static volatile u32 local = 10;
const volatile u32 constant_a = 1;

// Weak here, strong in the other.
__weak __noinline u32 choose(u32 x)
{
    return x + 1000;
}

static __noinline u32 helper(u32 x)
{
    local += x;
    return x * 2;
}

SEC("tc") int first(void *ctx)
{
    u32 key = 1;
    struct shared value = { 1, counter };
    map_update(&common, &key, &value, 0);
    map_lookup(&own_a, &key);
    counter += add(2, 3) + choose(4) + helper(5) + constant_a;
    return LINUX_KERNEL_VERSION + setting;
}
