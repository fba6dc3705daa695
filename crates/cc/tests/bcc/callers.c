// Calls of a function of a program, by its arguments, with a ring buffer and a queue.
#include <uapi/linux/ptrace.h>

struct call_t {
    u64 first;
    u32 second;
    u32 length;
    char text[32];
};

BPF_RINGBUF_OUTPUT(buffer, 8);
BPF_QUEUE(waiting, u64, 16);
BPF_HASH(calls, u64, struct call_t);
BPF_LRU_HASH(recent, u64);
BPF_TABLE("percpu_hash", u64, u64, by_cpu, 128);

int on_call(struct pt_regs *ctx, u64 first, int second, const char *text)
{
    struct call_t call = {}, *stored;
    u64 key = first % 100, old;

    call.first = first;
    call.second = second;
    call.length = bpf_probe_read_user_str(call.text, sizeof(call.text), text);
    buffer.ringbuf_output(&call, sizeof(call), 0);
    stored = calls.lookup_or_try_init(&key, &call);
    if (stored && stored->second != call.second)
        stored->second += call.second;
    waiting.push(&key, 0);
    if (second > 2)
        waiting.pop(&old);
    recent.increment(key, second);
    by_cpu.increment(key);
    return 0;
}

int on_return(struct pt_regs *ctx)
{
    u64 key = 99, result = PT_REGS_RC(ctx);

    recent.update(&key, &result);
    return 0;
}
