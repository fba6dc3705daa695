// Samples of packets: heads to a ring buffer, whole ones to the buffer of perf, with drops counted by processor.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define HEAD 96
#define TC_ACT_UNSPEC (-1)

struct packet_head {
	u64 time;
	u32 length;
	u32 ifindex;
	u16 captured;
	u16 queue;
	u8 head[HEAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(int));
	__uint(value_size, sizeof(int));
} packets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} drops SEC(".maps");

const volatile u32 one_in = 2;
u64 seen, sampled, queued;

static void dropped(u32 which)
{
	u64 *count = bpf_map_lookup_elem(&drops, &which);

	if (count)
		*count += 1;
}

SEC("xdp")
int sample_xdp(struct xdp_md *ctx)
{
	u64 total = ctx->data_end - ctx->data, wanted = total;
	u64 flags = BPF_F_CURRENT_CPU;
	struct packet_head *sample;

	if (seen++ % one_in)
		return XDP_PASS;
	sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (!sample) {
		dropped(0);
		return XDP_PASS;
	}
	sample->time = bpf_ktime_get_boot_ns();
	sample->length = total;
	sample->ifindex = ctx->ingress_ifindex;
	sample->queue = ctx->rx_queue_index;
	if (wanted > HEAD)
		wanted = HEAD;
	sample->captured = wanted;
	if (wanted == 0 || bpf_xdp_load_bytes(ctx, 0, sample->head, wanted)) {
		bpf_ringbuf_discard(sample, 0);
		return XDP_ABORTED;
	}
	sampled += sample->head[12] << 8 | sample->head[13];
	bpf_ringbuf_submit(sample, BPF_RB_NO_WAKEUP);
	flags |= total << 32;
	if (bpf_perf_event_output(ctx, &packets, flags, &total, sizeof(total)))
		dropped(1);
	queued = bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA);
	return XDP_PASS;
}

SEC("tc")
int sample_tc(struct __sk_buff *skb)
{
	struct {
		u32 length, mark, hash;
		u16 protocol, tci;
	} meta = { .length = skb->len, .mark = skb->mark, .protocol = skb->protocol, .tci = skb->vlan_tci };

	meta.hash = bpf_get_hash_recalc(skb);
	if (bpf_ringbuf_output(&samples, &meta, sizeof(meta), meta.length > 1000 ? BPF_RB_FORCE_WAKEUP : 0))
		dropped(0);
	skb->mark = meta.length ^ meta.protocol;
	skb->cb[0] = meta.length;
	skb->cb[4] = meta.protocol;
	sampled += skb->cb[0] + skb->cb[4];
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
