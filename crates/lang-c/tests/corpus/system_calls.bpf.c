// System calls: how long, with which result, by number and process; registers read from the raw tracepoint.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define CALLS 512
#define SLOTS 32
#define EAGAIN 11

struct running {
	u64 start;
	u64 arguments[6];
	u32 number;
};

struct figures {
	u64 calls, failures, again;
	u64 time, longest;
	u32 slots[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u64);
} by_process SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, struct running);
} running SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, u32);
	__type(value, struct figures);
} figures SEC(".maps");

const volatile u32 only_process;
const volatile bool by_cgroup;
const volatile u64 cgroup_id;

/* The logarithm by comparisons, as there is no instruction for it. */
static __always_inline u32 log2_32(u32 v)
{
	u32 r, shift;

	r = (v > 0xffff) << 4; v >>= r;
	shift = (v > 0xff) << 3; v >>= shift; r |= shift;
	shift = (v > 0xf) << 2; v >>= shift; r |= shift;
	shift = (v > 0x3) << 1; v >>= shift; r |= shift;
	r |= v >> 1;
	return r;
}

static __always_inline u32 log2_64(u64 v)
{
	u32 high = v >> 32;

	return high ? log2_32(high) + 32 : log2_32(v);
}

static __always_inline bool wanted(u32 process)
{
	if (only_process && only_process != process)
		return false;
	return !by_cgroup || bpf_get_current_cgroup_id() == cgroup_id;
}

SEC("raw_tp/sys_enter")
int call_begins(struct bpf_raw_tracepoint_args *ctx)
{
	u64 both = bpf_get_current_pid_tgid();
	struct pt_regs *regs = (void *)ctx->args[0];
	struct running call = {};
	u32 thread = both;

	if (!wanted(both >> 32))
		return 0;
	call.number = ctx->args[1];
	call.start = bpf_ktime_get_ns();
	call.arguments[0] = PT_REGS_PARM1_CORE_SYSCALL(regs);
	call.arguments[1] = PT_REGS_PARM2_CORE_SYSCALL(regs);
	call.arguments[2] = PT_REGS_PARM3_CORE_SYSCALL(regs);
	call.arguments[3] = PT_REGS_PARM4_CORE_SYSCALL(regs);
	call.arguments[4] = PT_REGS_PARM5_CORE_SYSCALL(regs);
	bpf_map_update_elem(&running, &thread, &call, BPF_ANY);
	return 0;
}

SEC("raw_tp/sys_exit")
int call_ends(struct bpf_raw_tracepoint_args *ctx)
{
	u64 both = bpf_get_current_pid_tgid(), time, *count, one = 1;
	u32 thread = both, process = both >> 32, slot;
	long result = ctx->args[1];
	struct running *call = bpf_map_lookup_elem(&running, &thread);
	struct figures *sum;

	if (!call)
		return 0;
	time = bpf_ktime_get_ns() - call->start;
	sum = bpf_map_lookup_elem(&figures, &call->number);
	bpf_map_delete_elem(&running, &thread);
	if (!sum)
		return 0;
	__sync_fetch_and_add(&sum->calls, 1);
	__sync_fetch_and_add(&sum->time, time);
	if (result < 0 && result > -4096)
		__sync_fetch_and_add(result == -EAGAIN ? &sum->again : &sum->failures, 1);
	if (time > sum->longest)
		sum->longest = time;
	slot = log2_64(time);
	if (slot >= SLOTS)
		slot = SLOTS - 1;
	__sync_fetch_and_add(&sum->slots[slot], 1);
	count = bpf_map_lookup_elem(&by_process, &process);
	if (count)
		*count += 1;
	else
		bpf_map_update_elem(&by_process, &process, &one, BPF_ANY);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
