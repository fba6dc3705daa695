// Packets with requests and answers of HTTP pass, others do not.
#include <uapi/linux/ptrace.h>
#include <net/sock.h>
#include <bcc/proto.h>

#define IP_TCP 6
#define ETH_HLEN 14

BPF_HASH(methods, u32, u64, 16);

int http_filter(struct __sk_buff *skb)
{
    u8 *cursor = 0;
    struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));

    if (!(ethernet->type == 0x0800))
        return 0;

    struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
    if (ip->nextp != IP_TCP)
        return 0;

    u32 ip_header_length = ip->hlen << 2;
    if (ip_header_length < sizeof(*ip))
        return 0;

    void *_ = cursor_advance(cursor, (ip_header_length - sizeof(*ip)));
    struct tcp_t *tcp = cursor_advance(cursor, sizeof(*tcp));
    u32 tcp_header_length = tcp->offset << 2;
    u32 payload_offset = ETH_HLEN + ip_header_length + tcp_header_length;
    u32 payload_length = ip->tlen - ip_header_length - tcp_header_length;
    unsigned long p[7];
    int i = 0;

    if (payload_length < 7)
        return 0;
    for (i = 0; i < 7; i++)
        p[i] = load_byte(skb, payload_offset + i);
    if (p[0] == 'H' && p[1] == 'T' && p[2] == 'T' && p[3] == 'P')
        goto KEEP;
    if (p[0] == 'G' && p[1] == 'E' && p[2] == 'T')
        goto KEEP;
    if (p[0] == 'P' && p[1] == 'O' && p[2] == 'S' && p[3] == 'T')
        goto KEEP;
    return 0;

KEEP:
    methods.increment(p[0]);
    return -1;
}
