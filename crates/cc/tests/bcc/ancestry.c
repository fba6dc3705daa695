// The processes above one that ends, through pointers of the kernel that are simply followed.
#include <linux/sched.h>
#include <linux/nsproxy.h>
#include <net/net_namespace.h>

struct facts_t {
    u32 pid;
    u32 ppid;
    u32 grandparent;
    u32 threads;
    u32 netns;
    u32 in_exec;
    u64 start;
    char comm[TASK_COMM_LEN];
    char parent_comm[TASK_COMM_LEN];
};

BPF_HASH(facts, u32, struct facts_t);

TRACEPOINT_PROBE(syscalls, sys_enter_getpriority)
{
    struct task_struct *task = (struct task_struct *)bpf_get_current_task();
    struct task_struct *parent = task->real_parent;
    struct facts_t value = {};
    u32 pid = bpf_get_current_pid_tgid() >> 32;

    value.pid = task->tgid;
    value.ppid = parent->tgid;
    value.grandparent = task->real_parent->real_parent->tgid;
    value.threads = task->signal->nr_threads;
    value.netns = task->nsproxy->net_ns->ns.inum;
    value.in_exec = task->in_execve;
    value.start = task->start_time;
    bpf_get_current_comm(&value.comm, sizeof(value.comm));
    bpf_probe_read_kernel_str(&value.parent_comm, sizeof(value.parent_comm), parent->comm);
    if (value.start != 0 && task->comm[0] == value.comm[0])
        facts.insert(&pid, &value);
    return 0;
}
