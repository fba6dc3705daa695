// A congestion control of TCP, as two tables of operations: one for a link, one that its value registers.
#include "skep.h"

struct sock;

struct tcp_sock {
    u32 snd_cwnd;
} __core;

// The members in another order than the kernel's, and only those that are used.
struct tcp_congestion_ops {
    char name[16];
    void (*init)(struct sock *sk);
    u32 (*undo_cwnd)(struct sock *sk);
    void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
    u32 (*ssthresh)(struct sock *sk);
    u32 flags;
};

u64 connections;
u64 acknowledged;

SEC("struct_ops/start") void start(u64 *ctx) { connections++; }

SEC("struct_ops/undo") u32 undo(u64 *ctx) { return ((struct tcp_sock *)ctx[0])->snd_cwnd; }

SEC("struct_ops/half") u32 half(u64 *ctx)
{
    u32 window = ((struct tcp_sock *)ctx[0])->snd_cwnd / 2;
    return window > 2 ? window : 2;
}

SEC("struct_ops/grow") void grow(u64 *ctx)
{
    struct tcp_sock *tp = (struct tcp_sock *)ctx[0];
    u32 acked = ctx[2];
    if (tp->snd_cwnd < 1000)
        tp->snd_cwnd += 1;
    acknowledged += acked;
}

SEC(".struct_ops.link") struct tcp_congestion_ops linked = {
    .name = "skep_linked",
    .init = (void *)start,
    .undo_cwnd = (void *)undo,
    .cong_avoid = (void *)grow,
    .ssthresh = (void *)half,
};

SEC(".struct_ops") struct tcp_congestion_ops plain = {
    .name = "skep_plain",
    .init = (void *)start,
    .undo_cwnd = (void *)undo,
    .cong_avoid = (void *)grow,
    .ssthresh = (void *)half,
};
