// Every kind of table that keeps numbers, with every method.
struct prefix {
    u32 length;
    u32 address;
};

BPF_TABLE("array", int, u32, plain, 4);
BPF_F_TABLE("hash", u32, u64, sparse, 16, BPF_F_NO_PREALLOC);
BPF_TABLE("lru_hash", u32, u16, recent, 16);
BPF_TABLE("lpm_trie", struct prefix, u32, routes, 16);
BPF_LPM_TRIE(more_routes, struct prefix, u32, 16);
BPF_TABLE_PUBLIC("percpu_array", int, u64, each, 2);
BPF_QUEUE(waiting, u32, 4);
BPF_STACK(piled, u32, 4);
BPF_PROG_ARRAY(stages, 4);
BPF_STACK_TRACE_BUILDID(stacks, 64);

int work(struct __sk_buff *skb)
{
    u32 key = 7, value = 3, popped = 0, peeked = 0;
    u64 start = 40, *found;
    struct prefix address = { 32, 0x0100000a };
    u32 *route = routes.lookup(&address);
    int slot = 1;

    found = sparse.lookup_or_try_init(&key, &start);
    if (found)
        *found += 2;
    if (sparse.insert(&key, &start) == 0)
        return 1;
    recent.increment(key, 5);
    recent.increment(key);
    plain.atomic_increment(2, 9);
    plain.atomic_increment(2);
    each.increment(1);
    waiting.push(&key, 0);
    waiting.push(&value, 0);
    waiting.pop(&popped);
    piled.push(&key, 0);
    piled.push(&value, BPF_EXIST);
    piled.peek(&peeked);
    plain.update(&slot, &peeked);
    slot = 0;
    plain.update(&slot, &popped);
    if (route)
        plain.increment(3, *route);
    key = 8;
    sparse.update(&key, &start);
    sparse.delete(&key);
    stages.call(skb, 2);
    return 2;
}

int last(struct __sk_buff *skb)
{
    return 77;
}
