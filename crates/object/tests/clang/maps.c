// Definitions of maps in every style, and variables of every section.
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __ulong(name, val) enum { __value_of_##name = val } name
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
typedef unsigned int u32;
typedef unsigned long long u64;
static void *(*lookup)(void *, const void *) = (void *)1;
static long (*tail_call)(void *, void *, u32) = (void *)12;

struct pair {
    u32 a;
    u64 b[3];
};
typedef struct pair pair_t;

struct {
    __uint(type, 1);
    __type(key, u32);
    __type(value, pair_t);
    __uint(max_entries, 8);
    __uint(map_flags, 1);
} by_type SEC(".maps");

static struct {
    __uint(type, 2);
    __uint(key_size, 4);
    __uint(value_size, 16);
    __uint(max_entries, 3);
} hidden SEC(".maps");

struct {
    __uint(type, 30);
    __type(value, u64);
    __uint(max_entries, 100);
    __ulong(map_extra, 4);
} bloom SEC(".maps");

struct inner {
    __uint(type, 2);
    __type(key, u32);
    __type(value, u32);
    __uint(max_entries, 1);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
    __uint(type, 12);
    __uint(key_size, 4);
    __uint(max_entries, 4);
    __array(values, struct inner);
} outer SEC(".maps") = { .values = { [2] = &inner_a, [3] = &inner_b } };

int target(void *ctx);
struct {
    __uint(type, 3);
    __uint(key_size, 4);
    __uint(max_entries, 2);
    __array(values, int(void *));
} jumps SEC(".maps") = { .values = { [1] = &target } };

struct {
    u32 type, key_size, value_size, max_entries, map_flags;
} legacy SEC("maps") = { 2, 4, 8, 5, 0 };

const volatile u32 limit = 7;
u32 total = 30;
u32 zeros[4];
static u32 named SEC(".data.named") = 900;

SEC("socket") int variables(void *ctx)
{
    zeros[2] += 4000;
    return limit + total + named + zeros[2];
}

SEC("socket") int use_maps(void *ctx)
{
    u32 two = 2, zero = 0;
    void *map = lookup(&outer, &two);
    if (!map)
        return 1;
    u32 *value = lookup(map, &zero);
    if (!value)
        return 2;
    *value += 1;
    u64 *old = lookup(&legacy, &two);
    if (!old)
        return 3;
    *old += 5;
    u32 *array = lookup(&hidden, &two);
    if (!array)
        return 4;
    array[3] = 6;
    lookup(&by_type, &two);
    tail_call(ctx, &jumps, 1);
    return 5;
}

SEC("socket") int target(void *ctx)
{
    return 77;
}

char _license[] SEC("license") = "GPL";
