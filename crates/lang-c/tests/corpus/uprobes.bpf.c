// Functions of programs.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} sizes SEC(".maps");

SEC("uprobe//proc/self/exe:malloc")
int BPF_UPROBE(on_malloc, size_t size)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 value = size;

	bpf_map_update_elem(&sizes, &tid, &value, BPF_ANY);
	return 0;
}

SEC("uretprobe")
int BPF_URETPROBE(after_malloc, void *address)
{
	u32 tid = bpf_get_current_pid_tgid();
	u64 *size = bpf_map_lookup_elem(&sizes, &tid);

	if (!size)
		return 0;
	bpf_printk("%d: %llu bytes at %lx", tid, *size, (unsigned long)address);
	bpf_map_delete_elem(&sizes, &tid);
	return 0;
}

SEC("uprobe")
int BPF_UPROBE(on_readline, const char *prompt)
{
	char text[80];
	long length = bpf_probe_read_user_str(text, sizeof(text), prompt);

	if (length > 1 && text[0] != '$')
		bpf_printk("%s", text);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
