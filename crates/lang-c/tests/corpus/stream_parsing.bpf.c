// Streams between sockets: lengths of messages, names of servers in a handshake, verdicts and redirection.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define HEADER 5
#define HANDSHAKE 22
#define MAX_RECORD 16384

struct record {
	__u8 type;
	__be16 version;
	__be16 length;
} __attribute__((packed));

struct framing {
	__u32 bytes;
	__u32 records;
	__u32 last;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct framing);
} frames SEC(".maps");

__u64 malformed;
__u64 sizes[16];

SEC("sk_skb/stream_parser")
int length_of_message(struct __sk_buff *skb)
{
	struct record record;

	if (skb->len < HEADER)
		return 0;
	if (bpf_skb_load_bytes(skb, 0, &record, sizeof(record)))
		return 0;
	if (record.type < 20 || record.type > 24 || bpf_ntohs(record.length) > MAX_RECORD) {
		__sync_fetch_and_add(&malformed, 1);
		return skb->len;
	}
	return bpf_ntohs(record.length) + HEADER;
}

SEC("sk_skb/stream_verdict")
int pass_on(struct __sk_buff *skb)
{
	struct framing first = {}, *frame;
	__u32 port = skb->local_port, index;
	void *data, *end;
	__u8 type;

	if (bpf_skb_pull_data(skb, HEADER))
		return SK_DROP;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	if (data + HEADER > end)
		return SK_DROP;
	type = *(__u8 *)data;
	bpf_map_update_elem(&frames, &port, &first, BPF_NOEXIST);
	frame = bpf_map_lookup_elem(&frames, &port);
	if (frame) {
		frame->bytes += skb->len;
		frame->records++;
		frame->last = type;
	}
	index = bpf_ntohl(skb->remote_port) & 63;
	return type == HANDSHAKE ? SK_PASS : bpf_sk_redirect_map(skb, &peers, index, 0);
}

SEC("sk_msg")
int outgoing(struct sk_msg_md *msg)
{
	void *data = msg->data, *end = msg->data_end;
	struct record *record = data;
	__u32 length, index;

	if (data + sizeof(*record) > end) {
		bpf_msg_cork_bytes(msg, HEADER);
		return SK_PASS;
	}
	length = bpf_ntohs(record->length);
	if (length > MAX_RECORD)
		return SK_DROP;
	index = length >> 10 & 15;
	sizes[index] += msg->size;
	bpf_msg_apply_bytes(msg, length + HEADER);
	if (record->type != HANDSHAKE)
		return bpf_msg_redirect_map(msg, &peers, msg->remote_port & 63, BPF_F_INGRESS);
	if (bpf_msg_pull_data(msg, 0, HEADER, 0))
		return SK_DROP;
	data = msg->data;
	end = msg->data_end;
	if (data + 3 > end)
		return SK_DROP;
	return ((__u8 *)data)[1] == 3 ? SK_PASS : SK_DROP;
}

char _license[] SEC("license") = "GPL";
