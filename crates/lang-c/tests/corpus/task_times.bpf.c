// How long tasks wait for a processor, run, and sleep, kept at each task; sums by name when it ends.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define TASK_RUNNING 0
#define SLOTS 27

enum phase { WAITING, RUNNING, SLEEPING, PHASES };

struct times {
	u64 since;
	enum phase phase;
	u64 total[PHASES];
	u32 switches;
	u32 migrations;
	u32 last_cpu;
};

struct summary {
	u64 total[PHASES];
	u64 tasks;
};

struct name {
	char text[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct times);
} times SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct name);
	__type(value, struct summary);
} summaries SEC(".maps");

u64 slots[PHASES][SLOTS];

/* The old name of the state of a task. */
struct task_struct___5_13 {
	volatile long state;
} __attribute__((preserve_access_index));

static __always_inline u64 log2_of(u64 value)
{
	u64 result = 0;

	for (u32 shift = 32; shift; shift >>= 1)
		if (value >> shift) {
			value >>= shift;
			result += shift;
		}
	return result;
}

static __always_inline u32 state_of(struct task_struct *task)
{
	if (bpf_core_field_exists(task->__state))
		return BPF_CORE_READ(task, __state);
	return BPF_CORE_READ((struct task_struct___5_13 *)task, state);
}

static void enter(struct task_struct *task, enum phase phase, u64 now)
{
	struct times *own = bpf_task_storage_get(&times, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	u64 spent, slot;

	if (!own)
		return;
	if (own->since && own->phase < PHASES) {
		spent = now - own->since;
		own->total[own->phase] += spent;
		slot = log2_of(spent / 1000);
		if (slot >= SLOTS)
			slot = SLOTS - 1;
		__sync_fetch_and_add(&slots[own->phase][slot], 1);
	}
	own->phase = phase;
	own->since = now;
	if (phase == RUNNING) {
		u32 cpu = bpf_get_smp_processor_id();

		own->switches++;
		if (own->last_cpu != cpu)
			own->migrations++;
		own->last_cpu = cpu;
	}
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(woken, struct task_struct *task)
{
	enter(task, WAITING, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(woken_new, struct task_struct *task)
{
	enter(task, WAITING, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, bool preempted, struct task_struct *previous, struct task_struct *next)
{
	u64 now = bpf_ktime_get_ns();

	enter(previous, preempted || state_of(previous) == TASK_RUNNING ? WAITING : SLEEPING, now);
	enter(next, RUNNING, now);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(ended, struct task_struct *task)
{
	struct times *own = bpf_task_storage_get(&times, task, NULL, 0);
	struct summary *sum, first = {};
	struct name name = {};

	if (!own || task->pid != task->tgid)
		return 0;
	BPF_CORE_READ_STR_INTO(&name.text, task, comm);
	bpf_map_update_elem(&summaries, &name, &first, BPF_NOEXIST);
	sum = bpf_map_lookup_elem(&summaries, &name);
	if (!sum)
		return 0;
	for (int i = 0; i < PHASES; i++)
		__sync_fetch_and_add(&sum->total[i], own->total[i]);
	__sync_fetch_and_add(&sum->tasks, 1);
	bpf_task_storage_delete(&times, task);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
