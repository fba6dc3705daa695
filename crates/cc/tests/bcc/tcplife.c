// Lives of TCP connections, from the tracepoint at changes of state.
#include <uapi/linux/ptrace.h>
#include <linux/tcp.h>
#include <net/sock.h>
#include <bcc/proto.h>

BPF_HASH(birth, struct sock *, u64);

struct id_t {
    u32 pid;
    char task[TASK_COMM_LEN];
};
BPF_HASH(whoami, struct sock *, struct id_t);

struct life_t {
    u64 span_us;
    u32 pid;
    u32 saddr;
    u32 daddr;
    u16 lport;
    u16 dport;
    char task[TASK_COMM_LEN];
};
BPF_HASH(lives, u16, struct life_t);

TRACEPOINT_PROBE(sock, inet_sock_set_state)
{
    if (args->protocol != IPPROTO_TCP || args->family != AF_INET)
        return 0;
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    struct sock *sk = (struct sock *)args->skaddr;
    u16 lport = args->sport, dport = args->dport;

    if (args->newstate < TCP_FIN_WAIT1) {
        u64 ts = bpf_ktime_get_ns();

        birth.update(&sk, &ts);
    }
    if (args->newstate == TCP_SYN_SENT || args->newstate == TCP_LAST_ACK) {
        struct id_t me = { .pid = pid };

        bpf_get_current_comm(&me.task, sizeof(me.task));
        whoami.update(&sk, &me);
    }
    if (args->newstate != TCP_CLOSE)
        return 0;
    u64 *tsp = birth.lookup(&sk);
    struct id_t *mep = whoami.lookup(&sk);
    struct life_t data = {};

    if (tsp == 0) {
        whoami.delete(&sk);
        return 0;
    }
    data.span_us = (bpf_ktime_get_ns() - *tsp) / 1000;
    birth.delete(&sk);
    data.pid = mep ? mep->pid : pid;
    __builtin_memcpy(&data.saddr, args->saddr, sizeof(data.saddr));
    __builtin_memcpy(&data.daddr, args->daddr, sizeof(data.daddr));
    data.lport = lport;
    data.dport = dport;
    if (mep)
        __builtin_memcpy(data.task, mep->task, sizeof(data.task));
    else
        bpf_get_current_comm(&data.task, sizeof(data.task));
    lives.update(&lport, &data);
    if (mep)
        whoami.delete(&sk);
    return 0;
}
