// A packet is changed and sent on: its time to live, its class, its addresses.
#include <bcc/proto.h>

BPF_ARRAY(seen, u64, 2);

static inline void lower(struct __sk_buff *skb, struct ip_t *ip)
{
    ip->ttl -= 1;
}

int forward(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    u64 to = ethernet->dst;

    if (ethernet->type != ETH_P_IP)
        return TC_ACT_SHOT;
    ethernet->dst = ethernet->src;
    ethernet->src = to;
    ip->dst = 0x0a000063;
    ip->df = 1;
    ip->foffset = 5;
    lower(skb, ip);
    if (ip->ttl == 0)
        return TC_ACT_SHOT;
    seen.atomic_increment(ip->df, ip->tlen);
    return TC_ACT_OK;
}
