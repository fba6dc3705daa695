// Switches of tasks by tracepoint: time on the processor, and what comes next.
#include <linux/sched.h>

struct pair_t {
    u32 prev;
    u32 next;
};

BPF_HASH(begun, u32);
BPF_HASH(used, u32, u64);
BPF_LRU_HASH(pairs, struct pair_t, u64, 4096);

TRACEPOINT_PROBE(sched, sched_switch)
{
    u32 prev = args->prev_pid, next = args->next_pid;
    struct pair_t pair = {prev, next};
    u64 now = bpf_ktime_get_ns(), zero = 0, *at, *sum;

    at = begun.lookup(&prev);
    if (at) {
        sum = used.lookup_or_init(&prev, &zero);
        if (sum)
            lock_xadd(sum, now - *at);
        begun.delete(&prev);
    }
    begun.update(&next, &now);
    pairs.increment(pair);
    return 0;
}

int ends(struct tracepoint__sched__sched_process_exit *args)
{
    u32 pid = args->pid;

    begun.delete(&pid);
    return 0;
}
