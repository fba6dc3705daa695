// Producers for rings of every kind. Each counts what it could not write.
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
typedef unsigned int u32;
typedef unsigned long long u64;

static void *(*lookup)(void *, const void *) = (void *)1;
static long (*perf_output)(void *, void *, u64, void *, u64) = (void *)25;
static void *(*reserve)(void *, u64, u64) = (void *)131;
static void (*submit)(void *, u64) = (void *)132;
static void (*discard)(void *, u64) = (void *)133;
static long (*loop)(u32, void *, void *, u64) = (void *)181;
static long (*drain)(void *, void *, void *, u64) = (void *)209;
static long (*dynptr_read)(void *, u32, void *, u32, u64) = (void *)201;

struct {
    __uint(type, 27);
    __uint(max_entries, 65536);
} ring SEC(".maps");

struct {
    __uint(type, 4);
    __uint(key_size, 4);
    __uint(value_size, 4);
} events SEC(".maps");

struct {
    __uint(type, 31);
    __uint(max_entries, 4096);
} commands SEC(".maps");

struct record {
    u64 number;
    u64 rest[7];
};

// How many records were made, did not fit, were thrown away, what the drained ones add up to, and flags of submit.
struct {
    u64 made, failed, thrown, drained, flags;
} all;
#define made all.made
#define failed all.failed
#define thrown all.thrown
#define drained all.drained
#define flags all.flags

SEC("tc")
int produce(void *ctx) {
    struct record *record = reserve(&ring, sizeof(*record), 0);
    u64 number = __sync_fetch_and_add(&made, 1);
    if (!record) {
        __sync_fetch_and_add(&failed, 1);
        return 0;
    }
    record->number = number;
    record->rest[6] = ~number;
    if (number % 10 == 3) {
        __sync_fetch_and_add(&thrown, 1);
        discard(record, flags);
    } else {
        submit(record, flags);
    }
    return 0;
}

static long one(u32 index, void *ctx) {
    struct record *record = reserve(&ring, sizeof(*record), 0);
    if (!record) {
        failed++;
        return 0;
    }
    record->number = made++;
    submit(record, flags);
    return 0;
}

SEC("tc")
int produce_many(void *ctx) {
    loop(10000, one, 0, 0);
    return 0;
}

SEC("tc")
int produce_events(void *ctx) {
    struct record record = {.number = made++};
    record.rest[6] = ~record.number;
    if (perf_output(ctx, &events, 0xffffffff, &record, sizeof(record)))
        failed++;
    return 0;
}

static long take(void *dynptr, void *ctx) {
    u64 number = 0;
    if (dynptr_read(&number, sizeof(number), dynptr, 0, 0))
        return 1;
    drained += number;
    made++;
    return 0;
}

SEC("tc")
int drain_commands(void *ctx) {
    return drain(&commands, take, 0, 0);
}

char _license[] SEC("license") = "GPL";
