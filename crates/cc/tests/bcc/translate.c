// Addresses are translated, and both checksums follow.
#include <bcc/proto.h>

BPF_HASH(translations, u32, u32, 16);

static u32 protocol_of(struct __sk_buff *skb, struct ip_t *ip)
{
    return ip->ver == 4 ? ip->nextp : 0;
}

int translate(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
    u32 old = ip->dst, *new = translations.lookup(&old);

    if (!new)
        return TC_ACT_OK;
    if (protocol_of(skb, ip) == IPPROTO_UDP)
        incr_cksum_l4(&udp->crc, old, *new, 1);
    incr_cksum_l3(&ip->hchecksum, old, *new);
    ip->dst = *new;
    return protocol_of(skb, ip) == IPPROTO_UDP ? TC_ACT_PIPE : TC_ACT_SHOT;
}
