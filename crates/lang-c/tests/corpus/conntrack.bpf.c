// Connections of TCP and their states, both directions in one entry under a lock.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

enum state { NEW, SYN_SEEN, ESTABLISHED, CLOSING, CLOSED, STATES };
enum event { EV_SYN, EV_SYN_ACK, EV_ACK, EV_FIN, EV_RST, EVENTS };

static const __u8 next_state[STATES][EVENTS] = {
	[NEW] = { [EV_SYN] = SYN_SEEN, [EV_SYN_ACK ... EV_FIN] = NEW, [EV_RST] = CLOSED },
	[SYN_SEEN] = { SYN_SEEN, ESTABLISHED, SYN_SEEN, CLOSING, CLOSED },
	[ESTABLISHED] = { ESTABLISHED, ESTABLISHED, ESTABLISHED, CLOSING, CLOSED },
	[CLOSING] = { [EV_SYN] = SYN_SEEN, [EV_SYN_ACK] = CLOSING, [EV_ACK] = CLOSED, [EV_FIN] = CLOSED, [EV_RST] = CLOSED },
	[CLOSED] = { SYN_SEEN, CLOSED, CLOSED, CLOSED, CLOSED },
};

struct tuple {
	__be32 low, high;
	__be16 low_port, high_port;
	__u32 protocol;
};

struct connection {
	struct bpf_spin_lock lock;
	enum state state;
	struct {
		__u64 packets;
		__u64 bytes;
		__u32 highest;
	} side[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct tuple);
	__type(value, struct connection);
} connections SEC(".maps");

__u64 transitions[STATES * EVENTS];
__u32 opened, refused;

/* The same key for both directions; says which one this is. */
static __always_inline int sorted(struct tuple *key, const struct iphdr *ip, const struct tcphdr *tcp)
{
	int reversed = bpf_ntohl(ip->saddr) > bpf_ntohl(ip->daddr) || (ip->saddr == ip->daddr && tcp->source > tcp->dest);

	key->low = reversed ? ip->daddr : ip->saddr;
	key->high = reversed ? ip->saddr : ip->daddr;
	key->low_port = reversed ? tcp->dest : tcp->source;
	key->high_port = reversed ? tcp->source : tcp->dest;
	key->protocol = ip->protocol;
	return reversed;
}

static __always_inline enum event event_of(const struct tcphdr *tcp)
{
	if (tcp->rst)
		return EV_RST;
	if (tcp->syn)
		return tcp->ack ? EV_SYN_ACK : EV_SYN;
	return tcp->fin ? EV_FIN : EV_ACK;
}

SEC("tc")
int track(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct connection *connection, fresh = {};
	struct tuple key = {};
	struct tcphdr *tcp;
	enum state before, after;
	enum event event;
	__u32 index, length, sequence;
	int side;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_TCP || ip->ihl < 5)
		return TC_ACT_OK;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end)
		return TC_ACT_SHOT;
	side = sorted(&key, ip, tcp);
	event = event_of(tcp);
	length = skb->len;
	sequence = bpf_ntohl(tcp->seq);
	connection = bpf_map_lookup_elem(&connections, &key);
	if (!connection) {
		if (event != EV_SYN) {
			refused++;
			return TC_ACT_SHOT;
		}
		bpf_map_update_elem(&connections, &key, &fresh, BPF_NOEXIST);
		connection = bpf_map_lookup_elem(&connections, &key);
		if (!connection)
			return TC_ACT_SHOT;
		opened++;
	}
	bpf_spin_lock(&connection->lock);
	before = connection->state;
	after = before < STATES ? next_state[before][event] : CLOSED;
	connection->state = after;
	if (side) {
		connection->side[1].packets++;
		connection->side[1].bytes += length;
		if ((int)(sequence - connection->side[1].highest) > 0)
			connection->side[1].highest = sequence;
	} else {
		connection->side[0].packets++;
		connection->side[0].bytes += length;
		if ((int)(sequence - connection->side[0].highest) > 0)
			connection->side[0].highest = sequence;
	}
	bpf_spin_unlock(&connection->lock);
	index = before * EVENTS + event;
	if (index < STATES * EVENTS)
		transitions[index]++;
	return after == CLOSED ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
