// Latencies of a system call as a histogram of powers of two, and by process.
#include <uapi/linux/ptrace.h>

struct key_t {
    u32 pid;
    u64 slot;
};

BPF_HASH(start, u32);
BPF_HISTOGRAM(dist);
BPF_HISTOGRAM(by_pid, struct key_t);
BPF_ARRAY(counts, u64, 4);
BPF_PERCPU_ARRAY(per_cpu, u64, 1);

RAW_TRACEPOINT_PROBE(sys_enter)
{
    u32 tid = bpf_get_current_pid_tgid();
    u64 ts = bpf_ktime_get_ns();

    // getpriority
    if (ctx->args[1] != 140)
        return 0;
    start.update(&tid, &ts);
    return 0;
}

RAW_TRACEPOINT_PROBE(sys_exit)
{
    u64 both = bpf_get_current_pid_tgid();
    u32 tid = both;
    int zero = 0;
    u64 *tsp = start.lookup(&tid), delta, *count;
    struct key_t key = {.pid = both >> 32};

    if (!tsp)
        return 0;
    delta = bpf_ktime_get_ns() - *tsp;
    start.delete(&tid);
    dist.increment(bpf_log2l(delta));
    key.slot = bpf_log2l(delta / 1000);
    by_pid.atomic_increment(key);
    counts.increment(1);
    counts.atomic_increment(2, 5);
    count = per_cpu.lookup(&zero);
    if (count)
        (*count)++;
    return 0;
}
