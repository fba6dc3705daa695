// Socket filters, parsers, verdicts, reuse of ports, look-ups, events of TCP.
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

SEC("socket")
int filter(struct __sk_buff *skb)
{
	__u8 first = 0;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return 0;
	return (first >> 4) == 4 ? skb->len : 0;
}

SEC("sk_skb/stream_parser")
int parser(struct __sk_buff *skb)
{
	return skb->len;
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb)
{
	__u32 key = skb->remote_port;

	return bpf_sk_redirect_hash(skb, &sockets, &key, 0);
}

SEC("sk_msg")
int message(struct sk_msg_md *msg)
{
	char *data = msg->data;
	char *end = msg->data_end;
	__u32 key = 1;

	if (data + 4 > end)
		return SK_DROP;
	if (data[0] == 'G' && data[1] == 'E' && data[2] == 'T')
		return bpf_msg_redirect_hash(msg, &sockets, &key, BPF_F_INGRESS);
	return SK_PASS;
}

SEC("sk_reuseport")
int reuse(struct sk_reuseport_md *md)
{
	__u32 index = md->hash % 4;

	if (bpf_sk_select_reuseport(md, &listeners, &index, 0) == 0)
		return SK_PASS;
	return SK_DROP;
}

SEC("sk_lookup")
int lookup(struct bpf_sk_lookup *ctx)
{
	if (ctx->family != AF_INET || ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	return ctx->local_port == 7 ? SK_DROP : SK_PASS;
}

SEC("sockops")
int events(struct bpf_sock_ops *ops)
{
	__u32 key;

	switch (ops->op) {
	case BPF_SOCK_OPS_TIMEOUT_INIT:
		ops->reply = 100;
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		if (ops->family != AF_INET)
			break;
		key = bpf_ntohl(ops->remote_port);
		bpf_sock_hash_update(ops, &sockets, &key, BPF_NOEXIST);
		bpf_sock_ops_cb_flags_set(ops, BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	default:
		ops->reply = -1;
	}
	return 1;
}

char _license[] SEC("license") = "GPL";
