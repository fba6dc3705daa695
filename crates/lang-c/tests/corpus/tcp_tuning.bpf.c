// Connections tuned by where they go: windows, congestion control, options in headers, times of round trips.
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/socket.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SOL_TCP 6
#define TCP_CONGESTION 13
#define SO_RCVBUF 8
#define SO_SNDBUF 7
#define TCP_BPF_IW 1001
#define TCP_BPF_SNDCWND_CLAMP 1002
#define KIND 253

struct option {
	__u8 kind;
	__u8 length;
	__be16 magic;
	__be32 tag;
} __attribute__((packed));

struct path {
	__u32 samples;
	__u32 smoothed;
	__u32 lowest;
	__u32 retransmits;
	__u64 states;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __be32);
	__type(value, struct path);
} paths SEC(".maps");

const volatile __be32 datacentre = bpf_htonl(0x0a000000), mask = bpf_htonl(0xff000000);
static const char control_near[] = "dctcp";
static const char control_far[] = "cubic";

static struct path *path_of(struct bpf_sock_ops *ops)
{
	__be32 address = ops->remote_ip4;
	struct path first = { .lowest = ~0u };
	struct path *path = bpf_map_lookup_elem(&paths, &address);

	if (path)
		return path;
	bpf_map_update_elem(&paths, &address, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&paths, &address);
}

static void tune(struct bpf_sock_ops *ops, int near)
{
	int buffer = near ? 150000 : 1500000, window = near ? 40 : 10, clamp = 100;

	bpf_setsockopt(ops, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	bpf_setsockopt(ops, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	bpf_setsockopt(ops, SOL_TCP, TCP_BPF_IW, &window, sizeof(window));
	if (near) {
		bpf_setsockopt(ops, SOL_TCP, TCP_BPF_SNDCWND_CLAMP, &clamp, sizeof(clamp));
		bpf_setsockopt(ops, SOL_TCP, TCP_CONGESTION, (void *)control_near, sizeof(control_near));
	} else {
		bpf_setsockopt(ops, SOL_TCP, TCP_CONGESTION, (void *)control_far, sizeof(control_far));
	}
}

SEC("sockops")
int tune_connections(struct bpf_sock_ops *ops)
{
	struct option option = { .kind = KIND, .length = sizeof(option), .magic = bpf_htons(0xeb9f) };
	int near = (ops->remote_ip4 & mask) == datacentre;
	struct path *path;

	if (ops->family != AF_INET)
		return 1;
	switch (ops->op) {
	case BPF_SOCK_OPS_TIMEOUT_INIT:
		ops->reply = near ? 10 : -1;
		break;
	case BPF_SOCK_OPS_RWND_INIT:
		ops->reply = near ? 40 : -1;
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		tune(ops, near);
		/* fall through */
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_RTT_CB_FLAG |
					  BPF_SOCK_OPS_RETRANS_CB_FLAG | BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_RTT_CB:
		path = path_of(ops);
		if (!path)
			break;
		path->smoothed = path->samples++ ? (7ull * path->smoothed + (ops->srtt_us >> 3)) >> 3 : ops->srtt_us >> 3;
		if (path->smoothed < path->lowest)
			path->lowest = path->smoothed;
		break;
	case BPF_SOCK_OPS_RETRANS_CB:
		path = path_of(ops);
		if (path)
			path->retransmits++;
		break;
	case BPF_SOCK_OPS_STATE_CB:
		path = path_of(ops);
		if (path)
			path->states |= 1ull << ((ops->args[0] & 7) * 8 + (ops->args[1] & 7));
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		bpf_reserve_hdr_opt(ops, sizeof(option), 0);
		break;
	case BPF_SOCK_OPS_WRITE_HDR_OPT_CB:
		option.tag = bpf_htonl(ops->local_port);
		bpf_store_hdr_opt(ops, &option, sizeof(option), 0);
		break;
	case BPF_SOCK_OPS_PARSE_HDR_OPT_CB:
		if (bpf_load_hdr_opt(ops, &option, sizeof(option), 0) > 0)
			ops->reply = option.tag != 0;
		break;
	}
	return 1;
}

char _license[] SEC("license") = "GPL";
