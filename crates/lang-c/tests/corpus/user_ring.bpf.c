// Commands from user space through a ring buffer of its own, answered through the kernel's.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

enum command { CMD_SET = 1, CMD_ADD, CMD_QUERY, CMD_STOP };

struct order {
	u32 command;
	u32 key;
	u64 value;
};

struct answer {
	u32 command;
	s32 error;
	u64 value;
};

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} answers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u64);
} values SEC(".maps");

struct statistics {
	u32 handled;
	u32 broken;
	u32 by_command[8];
} statistics;

static u64 carry_out(const struct order *request, s32 *error)
{
	u64 *value = bpf_map_lookup_elem(&values, &request->key);

	*error = 0;
	switch (request->command) {
	case CMD_SET:
		*error = bpf_map_update_elem(&values, &request->key, &request->value, BPF_ANY);
		return request->value;
	case CMD_ADD:
		if (value)
			return __sync_add_and_fetch(value, request->value);
		break;
	case CMD_QUERY:
		if (value)
			return *value;
		break;
	default:
		*error = -22;
		return 0;
	}
	*error = -2;
	return 0;
}

static long handle(struct bpf_dynptr *dynptr, void *context)
{
	struct statistics *own = context;
	struct order request;
	struct answer *answer;

	if (bpf_dynptr_read(&request, sizeof(request), dynptr, 0, 0)) {
		own->broken++;
		return 0;
	}
	own->by_command[request.command & 7]++;
	own->handled++;
	answer = bpf_ringbuf_reserve(&answers, sizeof(*answer), 0);
	if (answer) {
		answer->command = request.command;
		answer->value = carry_out(&request, &answer->error);
		bpf_ringbuf_submit(answer, 0);
	}
	return request.command == CMD_STOP;
}

SEC("syscall")
int drain(void *ctx)
{
	struct statistics round = {};
	long drained = bpf_user_ringbuf_drain(&requests, handle, &round, BPF_RB_NO_WAKEUP);

	statistics.handled += round.handled;
	statistics.broken += round.broken;
	for (int i = 0; i < 8; i++)
		statistics.by_command[i] += round.by_command[i];
	return drained;
}

char LICENSE[] SEC("license") = "GPL";
