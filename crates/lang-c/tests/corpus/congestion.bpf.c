// Congestion control for TCP: a table of operations with programs in it.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

#define HALF 1
#define MINIMUM 2

SEC("struct_ops")
u32 BPF_PROG(steady_ssthresh, struct sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;
	u32 half = tcp->snd_cwnd >> HALF;

	return half > MINIMUM ? half : MINIMUM;
}

SEC("struct_ops")
u32 BPF_PROG(steady_undo, struct sock *sk)
{
	const struct tcp_sock *tcp = (struct tcp_sock *)sk;

	return tcp->snd_cwnd > tcp->prior_cwnd ? tcp->snd_cwnd : tcp->prior_cwnd;
}

SEC("struct_ops")
void BPF_PROG(steady_avoid, struct sock *sk, u32 ack, u32 acked)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	tcp->snd_cwnd_cnt += acked;
	if (tcp->snd_cwnd_cnt >= tcp->snd_cwnd) {
		tcp->snd_cwnd_cnt = 0;
		tcp->snd_cwnd++;
	}
}

SEC(".struct_ops")
struct tcp_congestion_ops steady = {
	.ssthresh = (void *)steady_ssthresh,
	.undo_cwnd = (void *)steady_undo,
	.cong_avoid = (void *)steady_avoid,
	.name = "skep_steady",
};
