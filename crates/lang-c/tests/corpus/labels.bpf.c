// Labels of blocks, jumps out of nested loops, statement expressions with labels of their own.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

u8 table[64] = { [0 ... 15] = 1, [16] = 7, [17 ... 63] = 2 };

#define find(value)							\
	({								\
		__label__ found;					\
		int at = 0;						\
		for (; at < 64; at++)					\
			if (table[at & 63] == (value))			\
				goto found;				\
		at = -1;						\
	found:								\
		at;							\
	})

inline int weigh(int a, int b)
{
	return a * 100 + b;
}

SEC("tc")
int finds(struct __sk_buff *skb)
{
	return weigh(find(7), find(skb->len & 3));
}

SEC("xdp")
int leaves(struct xdp_md *ctx)
{
	u32 i, j, sum = 0;

	for (i = 1; i < 6; i++) {
		for (j = 1; j < 6; j++) {
			sum += i * j;
			if (sum > 60)
				goto out;
			if (sum % 7 == 3)
				break;
		}
		switch (sum & 7) {
		case 0 ... 2:
			sum += 5;
			continue;
		case 5:
			goto out;
		default:
			sum ^= 1;
		}
	}
out:
	return sum & 1 ? XDP_PASS : XDP_DROP;
}
