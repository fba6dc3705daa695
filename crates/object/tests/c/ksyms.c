// Symbols of the kernel: addresses, variables, functions, and those that it does not have.
#include "skep.h"

struct task_struct {
    int pid;
} __core;
struct rq {
    u32 nr_running;
} __core;

extern const void bpf_link_fops __ksym __weak;
extern const void schedule __ksym;
extern const void of_no_kernel __ksym __weak;
extern const struct rq runqueues __ksym;
extern const int bpf_prog_active __ksym;
extern const int missing_variable __ksym __weak;

extern struct task_struct *bpf_task_acquire(struct task_struct *p) __ksym;
extern struct task_struct *bpf_task_from_pid(int pid) __ksym;
extern void bpf_task_release(struct task_struct *p) __ksym;
extern void missing_function(int x) __ksym __weak;

u64 address, none;
int active;

SEC("tp_btf/sched_switch") int symbols(void *ctx)
{
    address = (u64)&schedule + (u64)&bpf_link_fops;
    none = (u64)&of_no_kernel;
    if (&missing_variable)
        none += missing_variable;
    int *percpu = this_cpu_ptr(&bpf_prog_active);
    active = *percpu;
    struct rq *rq = this_cpu_ptr(&runqueues);
    return rq->nr_running;
}

SEC("tp_btf/sched_switch") int functions(void *ctx)
{
    struct task_struct *task = bpf_task_from_pid(1);
    if (missing_function)
        missing_function(5);
    if (task)
        bpf_task_release(task);
    return 0;
}
