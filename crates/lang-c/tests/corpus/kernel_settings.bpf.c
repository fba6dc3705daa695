// Settings of the kernel's build, and functions of the kernel.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern bool CONFIG_NEVER_HEARD_OF __kconfig __weak;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *p) __ksym __weak;

u32 out[5];

SEC("syscall")
int settings(void *ctx)
{
	struct task_struct *task;

	out[0] = LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 0, 0);
	out[1] = CONFIG_BPF_SYSCALL;
	out[2] = CONFIG_NET == TRI_YES;
	out[3] = CONFIG_NEVER_HEARD_OF;
	if (bpf_ksym_exists(bpf_task_from_pid)) {
		task = bpf_task_from_pid(1);
		if (task) {
			out[4] = task->pid;
			bpf_task_release(task);
		}
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
