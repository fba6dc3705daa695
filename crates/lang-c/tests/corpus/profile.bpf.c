// Stacks at a frequency, counted by task.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define PERF_MAX_STACK_DEPTH 127

struct key_t {
	__u32 pid;
	__u64 kernel_ip;
	int user_stack_id;
	int kern_stack_id;
	char name[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, sizeof(u32));
	__uint(value_size, PERF_MAX_STACK_DEPTH * sizeof(u64));
	__uint(max_entries, 1024);
} stackmap SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct key_t);
	__type(value, u64);
	__uint(max_entries, 10240);
} counts SEC(".maps");

const volatile bool include_idle = false;
const volatile bool user_only = false;

SEC("perf_event")
int do_perf_event(struct bpf_perf_event_data *ctx)
{
	static const u64 zero;
	struct key_t key = {};
	u64 id = bpf_get_current_pid_tgid();
	u64 *valp;

	if (!include_idle && (u32)id == 0)
		return 0;
	key.pid = id >> 32;
	bpf_get_current_comm(&key.name, sizeof(key.name));
	key.kern_stack_id = user_only ? -1 : bpf_get_stackid(ctx, &stackmap, 0);
	key.user_stack_id = bpf_get_stackid(ctx, &stackmap, BPF_F_USER_STACK);
	valp = bpf_map_lookup_elem(&counts, &key);
	if (!valp) {
		bpf_map_update_elem(&counts, &key, &zero, BPF_NOEXIST);
		valp = bpf_map_lookup_elem(&counts, &key);
	}
	if (valp)
		__sync_fetch_and_add(valp, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
