// Questions of DNS by type and by name: the labels are walked in the packet, in lower case.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define MAX_NAME 64

struct dns_header {
	__be16 id;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	__u8 recursion : 1, truncated : 1, authority : 1, opcode : 4, response : 1;
	__u8 code : 4, checking : 1, authentic : 1, zero : 1, available : 1;
#else
#error "the bits of the header are written for little-endian machines"
#endif
	__be16 questions, answers, authorities, additional;
} __attribute__((packed));

struct question {
	char name[MAX_NAME];
	__u16 type;
	__u8 labels;
	__u8 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct question);
	__type(value, __u64);
} questions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u64);
} types SEC(".maps");

__u64 malformed, responses;
/* What the tests send goes to the telnet port. */
const volatile __u16 port = 23;

static __always_inline char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static int read_name(struct __sk_buff *skb, __u32 offset, struct question *question)
{
	__u8 left = 0;

	for (__u32 i = 0; i < MAX_NAME - 1; i++) {
		__u8 byte;

		if (bpf_skb_load_bytes(skb, offset + i, &byte, 1))
			return -1;
		if (left) {
			question->name[i] = lower(byte);
			left--;
			continue;
		}
		if (byte == 0) {
			question->length = i;
			return i + 1;
		}
		if (byte > 63)
			return -1;
		left = byte;
		if (i)
			question->name[i] = '.';
		question->labels++;
	}
	return -1;
}

SEC("socket")
int count_questions(struct __sk_buff *skb)
{
	struct question question = {};
	struct dns_header dns;
	struct udphdr udp;
	__be16 type;
	__u8 protocol, version;
	__u64 one = 1, *seen;
	__u32 index, offset;
	int read;

	if (bpf_skb_load_bytes(skb, 0, &version, 1) || (version >> 4) != 4)
		return 0;
	if (bpf_skb_load_bytes(skb, 9, &protocol, 1) || protocol != IPPROTO_UDP)
		return 0;
	offset = (version & 15) * 4;
	if (bpf_skb_load_bytes(skb, offset, &udp, sizeof(udp)) || udp.dest != bpf_htons(port))
		return 0;
	offset += sizeof(udp);
	if (bpf_skb_load_bytes(skb, offset, &dns, sizeof(dns)))
		goto bad;
	if (dns.response) {
		responses++;
		return 0;
	}
	if (dns.opcode != 0 || dns.questions == 0)
		goto bad;
	offset += sizeof(dns);
	read = read_name(skb, offset, &question);
	if (read < 0)
		goto bad;
	if (bpf_skb_load_bytes(skb, offset + read, &type, sizeof(type)))
		goto bad;
	question.type = bpf_ntohs(type);
	index = question.type & 0xff;
	seen = bpf_map_lookup_elem(&types, &index);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	seen = bpf_map_lookup_elem(&questions, &question);
	if (seen)
		__sync_fetch_and_add(seen, 1);
	else
		bpf_map_update_elem(&questions, &question, &one, BPF_ANY);
	return skb->len;
bad:
	malformed++;
	return 0;
}

char _license[] SEC("license") = "GPL";
