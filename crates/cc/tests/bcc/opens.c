// Files that are opened: names by process, results, in the dialect of BCC.
#include <uapi/linux/ptrace.h>
#include <linux/sched.h>
#include <linux/limits.h>

struct val_t {
    u64 id;
    char comm[TASK_COMM_LEN];
    const char *fname;
    int flags;
};

struct data_t {
    u64 id;
    u64 ts;
    int ret;
    u32 uid;
    char comm[TASK_COMM_LEN];
    char fname[NAME_MAX];
    int flags;
};

BPF_HASH(infotmp, u64, struct val_t);
BPF_HASH(results, u32, u64);
BPF_HASH(last, u32, struct data_t);
BPF_PERF_OUTPUT(events);

TRACEPOINT_PROBE(syscalls, sys_enter_openat)
{
    struct val_t val = {};
    u64 id = bpf_get_current_pid_tgid();

    if (bpf_get_current_comm(&val.comm, sizeof(val.comm)) == 0) {
        val.id = id;
        val.fname = args->filename;
        val.flags = args->flags;
        infotmp.update(&id, &val);
    }
    return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_openat)
{
    u64 id = bpf_get_current_pid_tgid(), tsp = bpf_ktime_get_ns();
    u32 pid = id >> 32;
    struct val_t *valp;
    struct data_t data = {};

    valp = infotmp.lookup(&id);
    if (valp == 0)
        return 0;
    bpf_probe_read_kernel(&data.comm, sizeof(data.comm), valp->comm);
    bpf_probe_read_user_str(&data.fname, sizeof(data.fname), (void *)valp->fname);
    data.id = valp->id;
    data.ts = tsp / 1000;
    data.uid = bpf_get_current_uid_gid();
    data.flags = valp->flags;
    data.ret = args->ret;
    events.perf_submit(args, &data, sizeof(data));
    last.update(&pid, &data);
    results.increment(pid);
    infotmp.delete(&id);
    return 0;
}
