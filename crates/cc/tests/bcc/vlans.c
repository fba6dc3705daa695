// Frames by virtual network, and by sender.
#include <bcc/proto.h>

BPF_HASH(by_vlan, u16, u64, 4096);
BPF_TABLE("percpu_hash", u64, u64, by_sender, 256);
BPF_HISTOGRAM(priorities, u32, 8);

int count(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
    u64 sender = ethernet->src, one = 1, *known;

    known = by_sender.lookup(&sender);
    if (known)
        *known += 1;
    else
        by_sender.update(&sender, &one);
    switch (ethernet->type) {
    case ETH_P_8021Q: {
        struct dot1q_t *dot1q = cursor_advance(cursor, sizeof(*dot1q));
        u16 vlan = dot1q->vlanid;

        by_vlan.increment(vlan);
        priorities.increment(dot1q->pri);
        return dot1q->type == ETH_P_IP ? 1 : 2;
    }
    case ETH_P_ARP: {
        struct arp_t *arp = cursor_advance(cursor, sizeof(*arp));

        return arp->oper == 1 && arp->sha == ethernet->src ? arp->tpa : 0;
    }
    case ETH_P_IPV6: {
        struct ip6_t *ip6 = cursor_advance(cursor, sizeof(*ip6));

        if (ip6->ver != 6 || ip6->dst_hi != 0xff02000000000000)
            return 0;
        return ip6->flow_label + ip6->priority + ip6->src_lo % 1000;
    }
    }
    return 0;
}
