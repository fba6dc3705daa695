// Connections that are made: functions of the kernel whose parameters stand in the signature.
#include <uapi/linux/ptrace.h>
#include <net/sock.h>
#include <bcc/proto.h>

BPF_HASH(currsock, u32, struct sock *);
struct ipv4_data_t {
    u64 ts_us;
    u32 pid;
    u32 saddr;
    u32 daddr;
    u16 lport;
    u16 dport;
    char task[TASK_COMM_LEN];
};
BPF_PERF_OUTPUT(ipv4_events);
BPF_STACK_TRACE(stacks, 1024);

int trace_connect_entry(struct pt_regs *ctx, struct sock *sk)
{
    u32 tid = bpf_get_current_pid_tgid();

    if (sk->__sk_common.skc_family != AF_INET)
        return 0;
    currsock.update(&tid, &sk);
    return 0;
}

static int trace_connect_return(struct pt_regs *ctx, short ipver)
{
    int ret = PT_REGS_RC(ctx);
    u64 pid_tgid = bpf_get_current_pid_tgid();
    u32 tid = pid_tgid;
    struct sock **skpp = currsock.lookup(&tid);
    struct ipv4_data_t data4 = {.pid = pid_tgid >> 32};

    if (skpp == 0)
        return 0;
    if (ret != 0) {
        currsock.delete(&tid);
        return 0;
    }
    struct sock *skp = *skpp;

    data4.saddr = skp->__sk_common.skc_rcv_saddr;
    data4.daddr = skp->__sk_common.skc_daddr;
    data4.lport = skp->__sk_common.skc_num;
    data4.dport = ntohs(skp->__sk_common.skc_dport);
    data4.ts_us = bpf_ktime_get_ns() / 1000;
    bpf_get_current_comm(&data4.task, sizeof(data4.task));
    if (stacks.get_stackid(ctx, 0) >= 0 || ipver == 4)
        ipv4_events.perf_submit(ctx, &data4, sizeof(data4));
    currsock.delete(&tid);
    return 0;
}

int trace_connect_v4_return(struct pt_regs *ctx)
{
    return trace_connect_return(ctx, 4);
}

int kprobe__tcp_set_state(struct pt_regs *ctx, struct sock *sk, int state)
{
    u16 dport = sk->__sk_common.skc_dport;

    if (state == TCP_CLOSE)
        bpf_trace_printk("closes %d %d\n", sk->sk_err, ntohs(dport));
    return 0;
}

int syscall__execve(struct pt_regs *ctx, const char __user *filename, const char __user *const __user *__argv)
{
    char name[16];
    const char *first = NULL;

    bpf_probe_read_user_str(name, sizeof(name), filename);
    bpf_probe_read_user(&first, sizeof(first), &__argv[0]);
    bpf_trace_printk("runs %s\n", name);
    return 0;
}
