// Headers where no packet has any, and a field that nearly fills a word.
#include <bcc/proto.h>

struct wide {
    u64 top : 1, rest : 63;
    u64 next;
} BPF_PACKET_HEADER;

int behind(struct __sk_buff *skb)
{
    struct wide *wide = (struct wide *)0x7fffffffffffffff;

    wide->rest = 5;
    return wide->next + wide->rest;
}

int before(struct __sk_buff *skb)
{
    struct wide *wide = (struct wide *)-1;

    wide->rest = skb->len;
    return wide->next + wide->rest;
}
