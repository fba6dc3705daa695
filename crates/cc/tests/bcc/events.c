// Packets and records to the host: with perf_submit_skb, and by a ring buffer in all its ways.
#include <bcc/proto.h>

struct event {
    u32 magic;
    u32 length;
};

BPF_PERF_OUTPUT(skb_events);
BPF_RINGBUF_OUTPUT(records, 1);

int submit(struct __sk_buff *skb)
{
    struct event event = { .magic = 0xfaceb00c, .length = skb->len };

    skb_events.perf_submit_skb(skb, skb->len, &event, sizeof(event));
    return 1;
}

int reserve(struct __sk_buff *skb)
{
    struct event event = { .magic = 1, .length = skb->len }, *room;

    records.ringbuf_output(&event, sizeof(event), 0);
    room = records.ringbuf_reserve(sizeof(*room));
    if (!room)
        return 0;
    if (skb->len > 1000) {
        records.ringbuf_discard(room, 0);
        return 2;
    }
    room->magic = 2;
    room->length = records.ringbuf_query(BPF_RB_AVAIL_DATA);
    records.ringbuf_submit(room, 0);
    return 1;
}
