// Requests to disks from queue to completion: latency by device and operation, with the older shapes of the tracepoints.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#define REQ_OP_MASK 0xff
#define SLOTS 27

extern int LINUX_KERNEL_VERSION __kconfig;

struct stage {
	u64 insert;
	u64 issue;
	dev_t dev;
};

struct series {
	u32 dev;
	u8 op;
	u8 queued;
	u16 pad;
};

struct hist {
	u32 slots[SLOTS];
	u64 bytes;
};

struct request_queue___old {
	struct gendisk *disk;
} __attribute__((preserve_access_index));

struct request___old {
	struct gendisk *rq_disk;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, struct request *);
	__type(value, struct stage);
} start SEC(".maps");

static struct hist zero;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct series);
	__type(value, struct hist);
} hists SEC(".maps");

const volatile bool filter_dev = false;
const volatile __u32 target_dev = 0;

static __always_inline struct gendisk *get_disk(void *request)
{
	struct request___old *r = request;

	if (bpf_core_field_exists(r->rq_disk))
		return BPF_CORE_READ(r, rq_disk);
	return BPF_CORE_READ((struct request *)request, q, disk);
}

static __always_inline int trace_start(struct request *rq, bool issue)
{
	struct gendisk *disk = get_disk(rq);
	struct stage stage = {}, *old;
	u64 now = bpf_ktime_get_ns();

	stage.dev = disk ? BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor) : 0;
	if (filter_dev && target_dev != stage.dev)
		return 0;
	old = bpf_map_lookup_elem(&start, &rq);
	if (!old) {
		if (issue)
			stage.issue = now;
		else
			stage.insert = now;
		return bpf_map_update_elem(&start, &rq, &stage, BPF_ANY);
	}
	if (issue)
		old->issue = now;
	else
		old->insert = now;
	return 0;
}

SEC("tp_btf/block_rq_insert")
int insert(u64 *ctx)
{
	/* Until 5.11 the first argument was the queue. */
	if (LINUX_KERNEL_VERSION < KERNEL_VERSION(5, 11, 0))
		return trace_start((void *)ctx[1], false);
	return trace_start((void *)ctx[0], false);
}

SEC("tp_btf/block_rq_issue")
int issue(u64 *ctx)
{
	if (LINUX_KERNEL_VERSION < KERNEL_VERSION(5, 11, 0))
		return trace_start((void *)ctx[1], true);
	return trace_start((void *)ctx[0], true);
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(complete, struct request *rq, int error, unsigned int bytes)
{
	struct stage *stage = bpf_map_lookup_elem(&start, &rq);
	struct series series = {};
	struct hist *hist;
	u64 now = bpf_ktime_get_ns(), slot = 0;
	s64 delta;

	if (!stage)
		return 0;
	delta = now - (stage->issue ?: stage->insert);
	if (delta < 0)
		goto cleanup;
	series.dev = stage->dev;
	series.op = BPF_CORE_READ(rq, cmd_flags) & REQ_OP_MASK;
	series.queued = stage->insert != 0;
	hist = bpf_map_lookup_elem(&hists, &series);
	if (!hist) {
		bpf_map_update_elem(&hists, &series, &zero, BPF_ANY);
		hist = bpf_map_lookup_elem(&hists, &series);
		if (!hist)
			goto cleanup;
	}
	delta /= 1000U;
	while (slot < SLOTS - 1 && delta >> (slot + 1))
		slot++;
	__sync_fetch_and_add(&hist->slots[slot], 1);
	__sync_fetch_and_add(&hist->bytes, bytes);
cleanup:
	bpf_map_delete_elem(&start, &rq);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
