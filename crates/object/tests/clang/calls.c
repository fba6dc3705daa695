// Subprograms in every constellation, callbacks, and a relocation of the kernel's types.
#define SEC(n) __attribute__((section(n), used))
#define noinline __attribute__((noinline))
typedef unsigned int u32;
typedef unsigned long long u64;
static long (*loop)(u32, void *, void *, u64) = (void *)181;

u32 state;

static noinline u32 leaf(u32 x)
{
    state += x;
    return x * 3;
}

noinline u32 middle(u32 x)
{
    return leaf(x) + leaf(x + 1);
}

static long step(u32 index, void *ctx)
{
    *(u32 *)ctx += leaf(index);
    return 0;
}

SEC("socket") int nested(void *ctx)
{
    return middle(2) + leaf(10);
}

SEC("tc/ingress") int simple(void *ctx)
{
    return 3;
}

SEC("tc") int shared(void *ctx)
{
    return leaf(7);
}

SEC("socket") int callback(void *ctx)
{
    u32 sum = 1;
    loop(4, step, &sum, 0);
    return sum;
}

struct task {
    int before;
    int pid;
} __attribute__((preserve_access_index));

SEC("raw_tp/sys_enter") int relocated(void *ctx)
{
    struct task *task = *(struct task **)ctx;
    int pid;
    ((long (*)(void *, u32, const void *))113)(&pid, 4, &task->pid);
    return pid;
}

char _license[] SEC("license") = "GPL";
