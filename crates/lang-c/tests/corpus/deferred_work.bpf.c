// Work that is done later: timers that start themselves again, queues of work, and marks of time.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define CLOCK_MONOTONIC 1
#define MSEC 1000000ull

extern int bpf_wq_init(struct bpf_wq *wq, void *map, unsigned int flags) __weak __ksym;
extern int bpf_wq_start(struct bpf_wq *wq, unsigned int flags) __weak __ksym;
extern int bpf_wq_set_callback_impl(struct bpf_wq *wq, int (callback)(void *map, int *key, void *value),
				    unsigned int flags, void *aux__prog) __weak __ksym;

struct job {
	struct bpf_timer timer;
	u64 started;
	u32 rounds;
	u32 limit;
};

struct later {
	struct bpf_wq work;
	u32 asked, done;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct job);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, int);
	__type(value, struct later);
} work SEC(".maps");

u64 overruns;

static int tick(void *map, u32 *key, struct job *job)
{
	if (++job->rounds >= job->limit)
		return 0;
	if (bpf_ktime_get_ns() - job->started > 10000 * MSEC)
		__sync_fetch_and_add(&overruns, 1);
	bpf_timer_start(&job->timer, MSEC, 0);
	return 0;
}

static int carry_out(void *map, int *key, void *value)
{
	struct later *later = value;

	later->done = later->asked;
	return 0;
}

static __noinline long start(u32 key)
{
	struct job fresh = { .limit = 3 }, *job;
	long error;

	bpf_map_update_elem(&jobs, &key, &fresh, BPF_NOEXIST);
	job = bpf_map_lookup_elem(&jobs, &key);
	if (!job)
		return -1;
	error = bpf_timer_init(&job->timer, &jobs, CLOCK_MONOTONIC);
	if (error && error != -16)
		return error;
	return bpf_timer_set_callback(&job->timer, tick);
}

SEC("syscall")
int start_jobs(void *ctx)
{
	long error = start(7);

	return error ?: start(8);
}

SEC("syscall")
int cancel_jobs(void *ctx)
{
	u32 key = 7;
	struct job *job = bpf_map_lookup_elem(&jobs, &key);

	return job ? bpf_timer_cancel(&job->timer) : -2;
}

SEC("tc")
int defer(struct __sk_buff *skb)
{
	int key = skb->len & 1;
	struct later *later = bpf_map_lookup_elem(&work, &key);

	if (!later)
		return -1;
	if (bpf_wq_init(&later->work, &work, 0) == 0)
		bpf_wq_set_callback_impl(&later->work, carry_out, 0, NULL);
	later->asked++;
	return later->asked;
}

char LICENSE[] SEC("license") = "GPL";
