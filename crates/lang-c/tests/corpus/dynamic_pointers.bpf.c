// Packets and records through dynamic pointers: slices that the kernel bounds.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define TC_ACT_OK 0
#define TC_ACT_SHOT 2

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, u64 flags, struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, u64 flags, struct bpf_dynptr *ptr) __ksym;
extern void *bpf_dynptr_slice(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 buffer__szk) __ksym;
extern void *bpf_dynptr_slice_rdwr(const struct bpf_dynptr *ptr, u32 offset, void *buffer, u32 buffer__szk) __ksym;
extern __u32 bpf_dynptr_size(const struct bpf_dynptr *ptr) __ksym;
extern int bpf_dynptr_adjust(const struct bpf_dynptr *ptr, u32 start, u32 end) __ksym;
extern bool bpf_dynptr_is_rdonly(const struct bpf_dynptr *ptr) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u8[64]);
} scratch SEC(".maps");

u64 ports[4];
u32 sizes, readonly, written;

SEC("tc")
int read_headers(struct __sk_buff *skb)
{
	struct ethhdr eth_buffer, *eth;
	struct iphdr ip_buffer, *ip;
	struct udphdr udp_buffer, *udp;
	struct bpf_dynptr packet;

	if (bpf_dynptr_from_skb(skb, 0, &packet))
		return TC_ACT_SHOT;
	sizes += bpf_dynptr_size(&packet);
	readonly += bpf_dynptr_is_rdonly(&packet);
	eth = bpf_dynptr_slice(&packet, 0, &eth_buffer, sizeof(eth_buffer));
	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP))
		return TC_ACT_OK;
	ip = bpf_dynptr_slice(&packet, sizeof(*eth), &ip_buffer, sizeof(ip_buffer));
	if (!ip || ip->ihl < 5)
		return TC_ACT_SHOT;
	udp = bpf_dynptr_slice(&packet, sizeof(*eth) + ip->ihl * 4, &udp_buffer, sizeof(udp_buffer));
	if (!udp)
		return TC_ACT_SHOT;
	ports[ip->protocol == 17] += bpf_ntohs(udp->dest);
	ports[2 + (ip->protocol == 17)] ^= bpf_ntohs(udp->source);
	return TC_ACT_OK;
}

SEC("xdp")
int swap_addresses(struct xdp_md *xdp)
{
	u8 buffer[sizeof(struct ethhdr)], other[6];
	struct bpf_dynptr packet;
	struct ethhdr *eth;

	if (bpf_dynptr_from_xdp(xdp, 0, &packet))
		return XDP_ABORTED;
	eth = bpf_dynptr_slice_rdwr(&packet, 0, buffer, sizeof(buffer));
	if (!eth)
		return XDP_DROP;
	__builtin_memcpy(other, eth->h_dest, sizeof(other));
	__builtin_memcpy(eth->h_dest, eth->h_source, sizeof(other));
	__builtin_memcpy(eth->h_source, other, sizeof(other));
	if ((void *)eth == buffer)
		bpf_dynptr_write(&packet, 0, buffer, sizeof(buffer), 0);
	return eth->h_proto == bpf_htons(ETH_P_IPV6) ? XDP_TX : XDP_PASS;
}

SEC("syscall")
int records_and_maps(void *ctx)
{
	struct bpf_dynptr record, memory;
	u32 zero = 0, length = 16;
	u8 *value = bpf_map_lookup_elem(&scratch, &zero), copy[8];
	u64 *numbers;

	if (!value)
		return -1;
	if (bpf_ringbuf_reserve_dynptr(&records, length, 0, &record)) {
		bpf_ringbuf_discard_dynptr(&record, 0);
		return -2;
	}
	numbers = bpf_dynptr_data(&record, 0, 16);
	if (numbers) {
		numbers[0] = 0x1122334455667788;
		numbers[1] = numbers[0] * 3;
		written++;
	}
	bpf_dynptr_read(copy, sizeof(copy), &record, 4, 0);
	bpf_ringbuf_submit_dynptr(&record, 0);
	if (bpf_dynptr_from_mem(value, 64, 0, &memory))
		return -3;
	bpf_dynptr_write(&memory, 10, copy, sizeof(copy), 0);
	bpf_dynptr_adjust(&memory, 8, 32);
	bpf_dynptr_write(&memory, 16, copy, 4, 0);
	return bpf_dynptr_size(&memory);
}

char LICENSE[] SEC("license") = "GPL";
