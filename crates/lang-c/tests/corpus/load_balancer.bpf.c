// A balancer of connections: a table chooses the server by a hash, the packet is wrapped and sent back out.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SERVERS 4
#define RING 251
#define rol32(word, by) ((word) << (by) | (word) >> (32 - (by)))

struct service {
	__be32 address;
	__be16 port;
	__u8 protocol;
	__u8 flags;
};

struct server {
	__be32 address;
	__u8 mac[ETH_ALEN];
	__u16 weight;
};

struct connection {
	__be32 source, destination;
	union {
		__be32 ports;
		struct { __be16 from, to; };
	};
	__u8 protocol;
	__u8 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 128);
	__type(key, struct service);
	__type(value, __u32);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, RING);
	__type(key, __u32);
	__type(value, __u32);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct connection);
	__type(value, __u32);
} connections SEC(".maps");

static const struct server servers[SERVERS] = {
	{ .address = bpf_htonl(0xc0000201), .mac = { 2, 0, 0, 0, 1, 1 }, .weight = 10 },
	{ .address = bpf_htonl(0xc0000202), .mac = { 2, 0, 0, 0, 1, 2 }, .weight = 20 },
	{ .address = bpf_htonl(0xc0000203), .mac = { 2, 0, 0, 0, 1, 3 }, .weight = 20 },
	{ .address = bpf_htonl(0xc0000204), .mac = { 2, 0, 0, 0, 1, 4 }, .weight = 50 },
};

const volatile __be32 own_address = bpf_htonl(0xc6336401);
__u64 sent[SERVERS];

/* The last rounds of a mixing function of three words. */
static __always_inline __u32 mix(__u32 a, __u32 b, __u32 c)
{
	c ^= b; c -= rol32(b, 14);
	a ^= c; a -= rol32(c, 11);
	b ^= a; b -= rol32(a, 25);
	c ^= b; c -= rol32(b, 16);
	a ^= c; a -= rol32(c, 4);
	b ^= a; b -= rol32(a, 14);
	c ^= b; c -= rol32(b, 24);
	return c;
}

static __always_inline __u16 checksum(const void *header, int words)
{
	const __u16 *next = header;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < words; i++)
		sum += next[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return ~sum;
}

static __noinline __u32 choose(__u32 hash)
{
	__u32 slot = hash % RING;
	__u32 *server = bpf_map_lookup_elem(&ring, &slot);

	if (server && *server)
		return (*server - 1) & (SERVERS - 1);
	return hash & (SERVERS - 1);
}

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data, *outer_eth, old_eth;
	struct iphdr *ip = (void *)(eth + 1), *outer;
	struct connection connection = {};
	struct udphdr *ports;
	__u32 *known, index;
	__u16 length;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5)
		return XDP_PASS;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (ip->frag_off & bpf_htons(0x3fff))
		return XDP_DROP;
	ports = (void *)(ip + 1);
	if ((void *)(ports + 1) > end)
		return XDP_DROP;
	connection.source = ip->saddr;
	connection.destination = ip->daddr;
	connection.from = ports->source;
	connection.to = ports->dest;
	connection.protocol = ip->protocol;
	known = bpf_map_lookup_elem(&connections, &connection);
	if (known) {
		index = *known;
	} else {
		index = choose(mix(connection.source, connection.ports, connection.protocol + 0xdeadbeef));
		bpf_map_update_elem(&connections, &connection, &index, BPF_ANY);
	}
	length = bpf_ntohs(ip->tot_len) + sizeof(*outer);
	old_eth = *eth;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*outer)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	outer_eth = data;
	outer = (void *)(outer_eth + 1);
	if ((void *)(outer + 1) > end)
		return XDP_DROP;
	index &= SERVERS - 1;
	__builtin_memcpy(outer_eth->h_source, old_eth.h_dest, ETH_ALEN);
	__builtin_memcpy(outer_eth->h_dest, servers[index].mac, ETH_ALEN);
	outer_eth->h_proto = old_eth.h_proto;
	*outer = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.ttl = 64,
		.protocol = IPPROTO_IPIP,
		.tot_len = bpf_htons(length),
		.saddr = own_address,
		.daddr = servers[index].address,
	};
	outer->check = checksum(outer, 10);
	__sync_fetch_and_add(&sent[index], 1);
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
