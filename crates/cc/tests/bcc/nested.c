// Maps inside maps: the host says which counters a protocol has.
BPF_TABLE("hash", u32, u64, lengths, 16);
BPF_ARRAY_OF_MAPS(by_class, "lengths", 4);
BPF_HASH_OF_MAPS(by_protocol, u32, "lengths", 8);

int classify(struct __sk_buff *skb)
{
    u32 protocol = load_byte(skb, 9), length = skb->len;
    int class = load_byte(skb, 1) & 3;
    void *inner = by_protocol.lookup(&protocol);
    u64 *count, one = 1;

    if (!inner)
        inner = by_class.lookup(&class);
    if (!inner)
        return 0;
    count = bpf_map_lookup_elem(inner, &length);
    if (count) {
        *count += 1;
        return 2;
    }
    bpf_map_update_elem(inner, &length, &one, BPF_ANY);
    return 1;
}
