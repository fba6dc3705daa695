// Maps in maps: counters of each interface, made by user space, and a table of tables that stands in the source.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct inner_value {
	__u64 packets;
	__u64 bytes;
};

struct by_protocol {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct inner_value);
} low SEC(".maps"), high SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct by_protocol);
} by_length SEC(".maps") = {
	.values = { &low, [2] = &high },
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 64);
	__type(key, __u32);
	__array(values, struct {
		__uint(type, BPF_MAP_TYPE_HASH);
		__uint(max_entries, 1024);
		__type(key, __be32);
		__type(value, __u64);
	});
} by_interface SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u64));
	__uint(value_size, sizeof(__u32));
	__array(values, struct by_protocol);
} empty SEC(".maps");

__u32 missing[4];

SEC("xdp")
int count(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	__u32 length = end - data, index = length > 80 ? 2 : length > 62 ? 1 : 0;
	__u32 interface = ctx->ingress_ifindex, protocol;
	struct inner_value *value;
	__u64 *counter, one = 1;
	void *inner;
	__be32 source;

	if ((void *)(ip + 1) > end)
		return XDP_DROP;
	protocol = ip->protocol;
	source = ip->saddr;
	inner = bpf_map_lookup_elem(&by_length, &index);
	if (!inner) {
		missing[index & 3]++;
	} else {
		value = bpf_map_lookup_elem(inner, &protocol);
		if (value) {
			value->packets++;
			value->bytes += length;
		}
	}
	inner = bpf_map_lookup_elem(&by_interface, &interface);
	if (!inner)
		return XDP_PASS;
	counter = bpf_map_lookup_elem(inner, &source);
	if (counter)
		__sync_fetch_and_add(counter, 1);
	else
		bpf_map_update_elem(inner, &source, &one, BPF_NOEXIST);
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
