// Maps of most types with every property, maps of maps and arrays of programs with first entries.
#include "skep.h"

struct pair {
    u32 a;
    u64 b[3];
};
struct prefix {
    u32 bits;
    u8 address[4];
};

#define MAP(name, kind, entries) \
    struct { __uint(type, kind); __type(key, u32); __type(value, u64); __uint(max_entries, entries); } name SEC(".maps")
MAP(hash, HASH, 8);
MAP(array, ARRAY, 8);
MAP(percpu_hash, PERCPU_HASH, 8);
MAP(percpu_array, PERCPU_ARRAY, 8);
MAP(lru_hash, LRU_HASH, 8);
MAP(lru_percpu_hash, LRU_PERCPU_HASH, 8);

struct {
    __uint(type, HASH);
    __type(key, struct prefix);
    __type(value, struct pair);
    __uint(max_entries, 4);
    __uint(map_flags, 1);
} pairs SEC(".maps");

struct {
    __uint(type, LPM_TRIE);
    __uint(key_size, sizeof(struct prefix));
    __uint(value_size, 8);
    __uint(max_entries, 16);
    __uint(map_flags, 1);
} routes SEC(".maps");

struct {
    __uint(type, RINGBUF);
    __uint(max_entries, 4096);
} ring SEC(".maps");

struct {
    __uint(type, QUEUE);
    __uint(value_size, 8);
    __uint(max_entries, 4);
} queue SEC(".maps");

struct {
    __uint(type, BLOOM_FILTER);
    __uint(value_size, 8);
    __uint(max_entries, 100);
    __uint(map_extra, 3);
} bloom SEC(".maps");

struct {
    __uint(type, HASH);
    __uint(key_size, 4);
    __uint(value_size, 4);
    __uint(max_entries, 4);
    __uint(map_flags, 4);
    __uint(numa_node, 0);
} on_node SEC(".maps");

struct inner {
    __uint(type, ARRAY);
    __type(key, u32);
    __type(value, u32);
    __uint(max_entries, 1);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
    __uint(type, ARRAY_OF_MAPS);
    __uint(key_size, 4);
    __uint(max_entries, 4);
    __array(values, struct inner);
} outer SEC(".maps") = { .values = { [1] = &inner_a, [3] = &inner_b } };

struct {
    __uint(type, HASH_OF_MAPS);
    __uint(key_size, 4);
    __uint(max_entries, 4);
    __array(values, struct { __uint(type, HASH); __type(key, u64); __type(value, u64); __uint(max_entries, 2); });
} outer_hash SEC(".maps");

int target(void *ctx);
struct {
    __uint(type, PROG_ARRAY);
    __uint(key_size, 4);
    __uint(max_entries, 3);
    __array(values, int(void *));
} jumps SEC(".maps") = { .values = { [2] = &target } };

SEC("tc") int target(void *ctx)
{
    return 77;
}

SEC("tc") int use(void *ctx)
{
    u32 one = 1, zero = 0;
    u64 number = 5;
    void *map = map_lookup(&outer, &one);
    if (map) {
        u32 *value = map_lookup(map, &zero);
        if (value)
            *value += 1;
    }
    map_update(&hash, &one, &number, 0);
    map_update(&array, &one, &number, 0);
    map_update(&lru_hash, &one, &number, 0);
    u64 *place = ringbuf_reserve(&ring, 8, 0);
    if (place) {
        *place = 9;
        ringbuf_submit(place, 0);
    }
    tail_call(ctx, &jumps, 2);
    return 1;
}
