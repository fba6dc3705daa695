// What needs types: spin locks, timers, callbacks, objects of the kernel in maps, functions of the kernel, enumerations
// and attributes that older kernels do not know.
#define SEC(n) __attribute__((section(n), used))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

struct bpf_spin_lock {
    u32 val;
};
struct bpf_timer {
    u64 opaque[2];
} __attribute__((aligned(8)));
struct task_struct;

static void *(*lookup)(void *, const void *) = (void *)1;
static long (*lock)(struct bpf_spin_lock *) = (void *)93;
static long (*unlock)(struct bpf_spin_lock *) = (void *)94;
static long (*for_each)(void *, void *, void *, u64) = (void *)164;
static long (*timer_init)(struct bpf_timer *, void *, u64) = (void *)169;
static long (*timer_set_callback)(struct bpf_timer *, void *) = (void *)170;
static long (*loop)(u32, void *, void *, u64) = (void *)181;
static void *(*kptr_xchg)(void *, void *) = (void *)194;

enum wide { BIG = 0x123456789abcULL };

struct counted {
    struct bpf_spin_lock lock;
    int count;
    struct bpf_timer timer;
    enum wide wide;
};

struct {
    __uint(type, 2);
    __type(key, u32);
    __type(value, struct counted);
    __uint(max_entries, 3);
} counted SEC(".maps");

struct {
    __uint(type, 5);
    __type(key, u32);
    __type(value, u64);
    __uint(max_entries, 3);
} per_cpu SEC(".maps");

struct holder {
    struct task_struct __attribute__((btf_type_tag("kptr_untrusted"))) * task;
};
struct {
    __uint(type, 2);
    __type(key, u32);
    __type(value, struct holder);
    __uint(max_entries, 1);
} holders SEC(".maps");

// The lock in the middle of the section has to be found at its place.
u64 before = 1;
struct bpf_spin_lock global_lock SEC(".data.locked");
s64 behind SEC(".data.locked") = 40;

static long fired(void *map, u32 *key, struct counted *value) {
    return 0;
}

static long add(u32 index, long *sum) {
    *sum += index;
    return 0;
}

__attribute__((noinline)) int global_function(int x) {
    return x * 2;
}

SEC("tc")
int use_types(void *ctx) {
    u32 key = 1;
    struct counted *value = lookup(&counted, &key);
    if (!value)
        return -1;
    lock(&value->lock);
    value->count += 5;
    unlock(&value->lock);
    timer_init(&value->timer, &counted, 1);
    timer_set_callback(&value->timer, fired);
    lock(&global_lock);
    behind += 2;
    unlock(&global_lock);
    long sum = 0;
    loop(10, add, &sum, 0);
    return value->count + sum + behind + global_function(before);
}

SEC("tc")
int refused(void *ctx) {
    u32 key = 1;
    struct counted *value = lookup(&counted, &key);
    return value->count;
}

char _license[] SEC("license") = "GPL";
