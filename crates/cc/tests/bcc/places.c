// Programs at every place that macros name, and maps that lead packets and sockets elsewhere.
#include <bcc/proto.h>

BPF_XSKMAP(sockets, 4);
BPF_DEVMAP(devices, 4);
BPF_CPUMAP(processors, 4);
BPF_SOCKHASH(peers, u64, 16);
BPF_SOCKMAP(streams, 16);
BPF_CGROUP_ARRAY(groups, 1);
BPF_PERF_ARRAY(counters, 4);

int to_socket(struct xdp_md *ctx)
{
    u32 queue = ctx->rx_queue_index;

    if (sockets.lookup(&queue))
        return sockets.redirect_map(queue, 0);
    return ctx->ingress_ifindex & 1 ? devices.redirect_map(0, 0) : processors.redirect_map(0, 0);
}

int established(struct bpf_sock_ops *skops)
{
    u64 key = (u64)skops->remote_ip4 << 32 | skops->local_port;
    u32 at = skops->local_port & 15;

    peers.sock_hash_update(skops, &key, BPF_NOEXIST);
    streams.sock_map_update(skops, &at, BPF_ANY);
    return 0;
}

int message(struct sk_msg_md *msg)
{
    u64 key = (u64)msg->remote_ip4 << 32 | msg->local_port;

    if (msg->size > 100)
        return streams.msg_redirect_map(msg, msg->local_port & 15, 0);
    return peers.msg_redirect_hash(msg, &key, BPF_F_INGRESS);
}

int kprobe__do_exit(struct pt_regs *ctx, long code)
{
    u64 cycles = counters.perf_read(bpf_get_smp_processor_id());

    if (groups.check_current_task(0) > 0)
        bpf_trace_printk("%d %d\n", code, cycles);
    return 0;
}

RAW_TRACEPOINT_PROBE(sched_process_fork)
{
    struct task_struct *child = (struct task_struct *)ctx->args[1];

    bpf_trace_printk("%d\n", child->tgid);
    return 0;
}
