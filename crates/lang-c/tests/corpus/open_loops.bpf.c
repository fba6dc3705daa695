// Loops that the kernel counts: over numbers, bits, tasks, and without a known bound.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct bpf_iter_task;
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, unsigned int flags) __weak __ksym;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __weak __ksym;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __weak __ksym;
extern int bpf_iter_bits_new(struct bpf_iter_bits *it, const u64 *memory, u32 words) __weak __ksym;
extern int *bpf_iter_bits_next(struct bpf_iter_bits *it) __weak __ksym;
extern void bpf_iter_bits_destroy(struct bpf_iter_bits *it) __weak __ksym;
extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

#define PRIMES 512

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, u32);
	__type(value, u32);
} found SEC(".maps");

u8 composite[PRIMES];
u64 bits[4] = { 0x8000000000000001, 0, 0xf0, 1ull << 40 };
u64 sum_of_bits;
u32 primes, last_prime, rounds;
bool init_seen;

SEC("syscall")
int sieve(void *ctx)
{
	u32 i, j, at;

	primes = 0;
	bpf_for(i, 0, PRIMES)
		composite[i] = i < 2;
	bpf_for(i, 2, PRIMES) {
		if (composite[i])
			continue;
		primes++;
		last_prime = i;
		if (i > 22)
			continue;
		bpf_for(j, i, PRIMES / i + 1) {
			at = i * j;
			if (at < PRIMES)
				composite[at] = 1;
		}
	}
	bpf_for(i, 0, 10) {
		if (i == 7)
			break;
		at = i * 50;
		bpf_map_update_elem(&found, &at, &i, BPF_ANY);
	}
	bpf_repeat(5)
		rounds++;
	return primes;
}

SEC("syscall")
int walk_bits(void *ctx)
{
	int *bit;

	bpf_for_each(bits, bit, bits, 4)
		sum_of_bits = sum_of_bits * 31 + *bit;
	return 0;
}

SEC("syscall")
int find_init(void *ctx)
{
	struct task_struct *task;

	bpf_rcu_read_lock();
	bpf_for_each(task, task, NULL, 1 /* processes without their threads */) {
		if (task->pid == 1)
			init_seen = true;
	}
	bpf_rcu_read_unlock();
	return init_seen;
}

char LICENSE[] SEC("license") = "GPL";
