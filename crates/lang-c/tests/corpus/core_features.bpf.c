// Fields, types and values that kernels have or lack.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

struct task_struct___old {
	long state;
} __attribute__((preserve_access_index));

struct nowhere___gone {
	int field;
} __attribute__((preserve_access_index));

enum bpf_map_type___local {
	BPF_MAP_TYPE_HASH___local = 1,
	BPF_MAP_TYPE_NEVER___local = 999,
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} results SEC(".maps");

static void put(u32 index, u64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

static __always_inline long get_task_state(void *task)
{
	struct task_struct *new = task;

	if (bpf_core_field_exists(new->__state))
		return BPF_CORE_READ(new, __state);
	return BPF_CORE_READ((struct task_struct___old *)task, state);
}

SEC("raw_tp")
int features(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	put(0, bpf_core_field_exists(task->pid));
	put(1, bpf_core_field_exists(struct task_struct___old, state));
	put(2, bpf_core_field_size(task->comm));
	put(3, bpf_core_field_offset(struct task_struct, tgid));
	put(4, bpf_core_type_exists(struct task_struct));
	put(5, bpf_core_type_exists(struct nowhere___gone));
	put(6, bpf_core_type_size(struct sk_buff));
	put(7, bpf_core_enum_value_exists(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF));
	put(8, bpf_core_enum_value(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF));
	put(9, bpf_core_enum_value_exists(enum bpf_map_type___local, BPF_MAP_TYPE_NEVER___local));
	put(10, get_task_state(task) == 0);
	put(11, BPF_CORE_READ(task, mm) != 0);
	put(12, BPF_CORE_READ_BITFIELD_PROBED(task, sched_reset_on_fork));
	put(13, BPF_CORE_READ(task, tgid) == bpf_get_current_pid_tgid() >> 32);
	put(14, BPF_CORE_READ(task, nsproxy, uts_ns, name.nodename[0]) != 0);
	put(15, bpf_core_field_offset(siphash_key_t, key[1]));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
