// Files that are opened: names from user space, whole paths from the tree of names, results, by tracepoints and probes.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define NAME 64
#define DEPTH 12
#define O_CREAT 0100
#define O_ACCMODE 3

struct args {
	const char *name;
	int flags;
};

struct event {
	u64 time;
	u32 pid, uid;
	s32 result;
	int flags;
	u32 parts;
	char comm[16];
	char path[DEPTH][NAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, struct args);
} started SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct event);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

const volatile u32 target_pid = 0;
const volatile bool failed_only = false;
u64 lost, by_mode[4];

/* The parts of the path of the working directory, from the inside. */
static __always_inline u32 working_directory(struct event *event)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct dentry *dentry = BPF_CORE_READ(task, fs, pwd.dentry), *parent;
	u32 i;

	for (i = 1; i < DEPTH; i++) {
		const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);

		if (bpf_probe_read_kernel_str(event->path[i], NAME, name) <= 0)
			break;
		parent = BPF_CORE_READ(dentry, d_parent);
		if (parent == dentry || !parent)
			break;
		dentry = parent;
	}
	return i;
}

static __always_inline int enters(const char *name, int flags)
{
	u64 both = bpf_get_current_pid_tgid();
	struct args args = { name, flags };
	u32 thread = both;

	if (target_pid && target_pid != both >> 32)
		return 0;
	by_mode[flags & O_ACCMODE]++;
	return bpf_map_update_elem(&started, &thread, &args, BPF_ANY);
}

static __always_inline int exits(int result)
{
	u64 both = bpf_get_current_pid_tgid();
	u32 thread = both, zero = 0;
	struct args *args = bpf_map_lookup_elem(&started, &thread);
	struct event *event;

	if (!args)
		return 0;
	if (failed_only && result >= 0)
		goto out;
	event = bpf_map_lookup_elem(&scratch, &zero);
	if (!event)
		goto out;
	event->time = bpf_ktime_get_boot_ns();
	event->pid = both >> 32;
	event->uid = bpf_get_current_uid_gid();
	event->result = result;
	event->flags = args->flags & O_CREAT ? args->flags : args->flags & ~O_CREAT;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	bpf_probe_read_user_str(event->path[0], NAME, args->name);
	event->parts = event->path[0][0] == '/' ? 1 : working_directory(event);
	if (bpf_ringbuf_output(&events, event, sizeof(*event), 0))
		lost++;
out:
	bpf_map_delete_elem(&started, &thread);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int openat_enter(struct trace_event_raw_sys_enter *ctx)
{
	return enters((const char *)ctx->args[1], ctx->args[2]);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int openat_exit(struct trace_event_raw_sys_exit *ctx)
{
	return exits(ctx->ret);
}

SEC("?ksyscall/openat2")
int BPF_KPROBE(openat2_enter, struct pt_regs *regs)
{
	struct open_how how = {};
	const char *name = (void *)PT_REGS_PARM2_CORE_SYSCALL(regs);

	bpf_probe_read_user(&how, sizeof(how), (void *)PT_REGS_PARM3_CORE_SYSCALL(regs));
	return enters(name, how.flags);
}

SEC("?kretsyscall/openat2")
int BPF_KRETPROBE(openat2_exit, long result)
{
	return exits(result);
}

char LICENSE[] SEC("license") = "GPL";
