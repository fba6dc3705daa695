// Pointers to objects of the kernel that stay in maps: masks of processors, tasks, cgroups.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym __weak;
extern void bpf_cpumask_release(struct bpf_cpumask *mask) __ksym __weak;
extern void bpf_cpumask_set_cpu(u32 cpu, struct bpf_cpumask *mask) __ksym __weak;
extern void bpf_cpumask_clear_cpu(u32 cpu, struct bpf_cpumask *mask) __ksym __weak;
extern bool bpf_cpumask_test_cpu(u32 cpu, const struct cpumask *mask) __ksym __weak;
extern u32 bpf_cpumask_first(const struct cpumask *mask) __ksym __weak;
extern u32 bpf_cpumask_weight(const struct cpumask *mask) __ksym __weak;
extern struct task_struct *bpf_task_acquire(struct task_struct *task) __ksym __weak;
extern struct task_struct *bpf_task_from_pid(s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

struct kept {
	struct bpf_cpumask __kptr *mask;
	struct task_struct __kptr *task;
	u32 changes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct kept);
} kept SEC(".maps");

u32 weights, firsts, kept_pid;

static __always_inline struct kept *the_one(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&kept, &zero);
}

SEC("syscall")
int keep_mask(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create(), *old;
	struct kept *own = the_one();

	if (!mask)
		return -1;
	bpf_cpumask_set_cpu(0, mask);
	bpf_cpumask_set_cpu(1, mask);
	bpf_cpumask_clear_cpu(0, mask);
	weights += bpf_cpumask_weight((const struct cpumask *)mask);
	firsts += bpf_cpumask_first((const struct cpumask *)mask);
	if (!own) {
		bpf_cpumask_release(mask);
		return -2;
	}
	old = bpf_kptr_xchg(&own->mask, mask);
	if (old) {
		weights += 100 * bpf_cpumask_test_cpu(1, (const struct cpumask *)old);
		bpf_cpumask_release(old);
	}
	own->changes++;
	return 0;
}

SEC("syscall")
int keep_task(void *ctx)
{
	struct task_struct *task = bpf_task_from_pid(1), *old;
	struct kept *own = the_one();

	if (!task)
		return -1;
	if (!own) {
		bpf_task_release(task);
		return -2;
	}
	old = bpf_kptr_xchg(&own->task, task);
	if (old)
		bpf_task_release(old);
	bpf_rcu_read_lock();
	task = own->task;
	if (task)
		kept_pid = task->pid;
	bpf_rcu_read_unlock();
	return kept_pid;
}

char LICENSE[] SEC("license") = "GPL";
