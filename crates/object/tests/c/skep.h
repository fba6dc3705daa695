// What the programs of this directory share: types, attributes, helpers. Everything is here, nothing is included.
#define SEC(name) __attribute__((section(name), used))
#define __noinline __attribute__((noinline))
#define __always_inline inline __attribute__((always_inline))
#define __weak __attribute__((weak))
#define __hidden __attribute__((visibility("hidden")))
#define __kconfig __attribute__((section(".kconfig")))
#define __ksym __attribute__((section(".ksyms")))
#define __core __attribute__((preserve_access_index))
#define __uint(name, val) int (*name)[val]
#define __type(name, val) typeof(val) *name
#define __array(name, val) typeof(val) *name[]

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
typedef _Bool bool;

enum libbpf_tristate { TRI_NO, TRI_YES, TRI_MODULE };

// Map types and flags of linux/bpf.h that are used here.
#define HASH 1
#define ARRAY 2
#define PROG_ARRAY 3
#define PERF_EVENT_ARRAY 4
#define PERCPU_HASH 5
#define PERCPU_ARRAY 6
#define STACK_TRACE 7
#define CGROUP_ARRAY 8
#define LRU_HASH 9
#define LRU_PERCPU_HASH 10
#define LPM_TRIE 11
#define ARRAY_OF_MAPS 12
#define HASH_OF_MAPS 13
#define DEVMAP 14
#define SOCKMAP 15
#define CPUMAP 16
#define XSKMAP 17
#define SOCKHASH 18
#define QUEUE 22
#define STACK 23
#define SK_STORAGE 24
#define RINGBUF 27
#define TASK_STORAGE 29
#define BLOOM_FILTER 30

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const probe_read_kernel)(void *dst, u32 size, const void *src) = (void *)113;
static u64 (*const ktime_get_ns)(void) = (void *)5;
static long (*const tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static u64 (*const get_current_pid_tgid)(void) = (void *)14;
static void *(*const get_current_task)(void) = (void *)35;
static void *(*const this_cpu_ptr)(const void *ptr) = (void *)154;
static long (*const spin_lock)(void *lock) = (void *)93;
static long (*const spin_unlock)(void *lock) = (void *)94;
static void *(*const ringbuf_reserve)(void *map, u64 size, u64 flags) = (void *)131;
static void (*const ringbuf_submit)(void *data, u64 flags) = (void *)132;
static long (*const for_each_map_elem)(void *map, void *fn, void *ctx, u64 flags) = (void *)164;
static long (*const timer_init)(void *timer, void *map, u64 flags) = (void *)169;
static long (*const timer_set_callback)(void *timer, void *fn) = (void *)170;
static long (*const timer_start)(void *timer, u64 nanos, u64 flags) = (void *)171;
static long (*const loop)(u32 count, void *fn, void *ctx, u64 flags) = (void *)181;

char _license[] SEC("license") = "GPL";
