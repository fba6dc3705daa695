// What a session delivers: records of both kinds of buffers, messages, and maps to look at when it ends.
#include "../../../object/tests/c/skep.h"

struct event {
    u32 process;
    u64 number;
    char text[8];
};

struct {
    __uint(type, RINGBUF);
    __uint(max_entries, 65536);
    __type(value, struct event);
} records SEC(".maps");
struct {
    __uint(type, RINGBUF);
    __uint(max_entries, 4096);
} untyped SEC(".maps");
struct {
    __uint(type, PERF_EVENT_ARRAY);
    __type(key, u32);
    __type(value, struct event);
} samples SEC(".maps");
struct {
    __uint(type, HASH);
    __type(key, u32);
    __type(value, struct event);
    __uint(max_entries, 16);
} seen SEC(".maps");
struct {
    __uint(type, PERCPU_ARRAY);
    __type(key, u32);
    __type(value, u64);
    __uint(max_entries, 3);
} counts SEC(".maps");

// The process that counts; set before loading.
const volatile u32 process = 0;
u64 total;

static long (*const perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*const trace_printk)(const char *fmt, u32 size, ...) = (void *)6;
static long (*const ringbuf_output)(void *map, void *data, u64 size, u64 flags) = (void *)130;

SEC("raw_tp/sys_enter") int deliver(void *ctx)
{
    struct event event = { .process = process, .text = "hello" };
    const char format[] = "number %d";
    u32 key = 2;
    if (get_current_pid_tgid() >> 32 != process)
        return 0;
    // The call that the test makes, getppid, is 110; others of the process do not matter.
    if (((u64 *)ctx)[1] != 110)
        return 0;
    event.number = __sync_fetch_and_add(&total, 1) + 1;
    ringbuf_output(&records, &event, sizeof(event), 0);
    ringbuf_output(&untyped, &event.number, sizeof(event.number), 0);
    perf_event_output(ctx, &samples, 0xffffffffULL, &event, sizeof(event));
    map_update(&seen, &event.process, &event, 0);
    u64 *count = map_lookup(&counts, &key);
    if (count)
        *count += 1;
    trace_printk(format, sizeof(format), event.number);
    return 0;
}
