// Tail calls by index, maps of maps, and tables that the source fills.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

int first(struct __sk_buff *skb);
int second(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int (struct __sk_buff *));
} jumps SEC(".maps") = {
	.values = {
		[0] = &first,
		[2] = &second,
	},
};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} inner_a SEC(".maps"), inner_b SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps") = {
	.values = { [0] = &inner_a, [1] = &inner_b },
};

int trail;

SEC("tc")
int entry(struct __sk_buff *skb)
{
	trail = 1;
	bpf_tail_call(skb, &jumps, skb->len & 3);
	return TC_ACT_PIPE;
}

SEC("tc")
int first(struct __sk_buff *skb)
{
	trail = trail * 10 + 2;
	bpf_tail_call_static(skb, &jumps, 2);
	return TC_ACT_SHOT;
}

SEC("tc")
int second(struct __sk_buff *skb)
{
	__u32 index = skb->len & 1, zero = 0;
	void *inner = bpf_map_lookup_elem(&outer, &index);
	__u64 *value;

	trail = trail * 10 + 3;
	if (!inner)
		return TC_ACT_SHOT;
	value = bpf_map_lookup_elem(inner, &zero);
	if (value)
		*value += skb->len;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
