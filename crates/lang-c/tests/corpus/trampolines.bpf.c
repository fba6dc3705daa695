// Programs at functions with typed arguments.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} opened SEC(".maps");

SEC("fentry/vfs_open")
int BPF_PROG(on_open, const struct path *path, struct file *file)
{
	u32 key = path->dentry->d_name.len;
	u64 one = 1, *count = bpf_map_lookup_elem(&opened, &key);

	if (count)
		(*count)++;
	else
		bpf_map_update_elem(&opened, &key, &one, BPF_ANY);
	return 0;
}

SEC("fexit/vfs_open")
int BPF_PROG(after_open, const struct path *path, struct file *file, int ret)
{
	if (ret < 0)
		bpf_printk("open of mode %x failed: %d", file->f_mode, ret);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	u32 key = parent->pid;
	u64 value = child->start_time;

	bpf_map_update_elem(&opened, &key, &value, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
