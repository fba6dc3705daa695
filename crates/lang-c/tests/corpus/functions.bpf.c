// Functions that the verifier judges by themselves, with arguments of all sorts.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct pair {
	u64 first;
	u32 second;
};

u64 out[8];

__noinline int scalar(int a, u64 b)
{
	return a * 3 + (int)(b >> 3);
}

__noinline u64 through_pointer(struct pair *pair)
{
	if (!pair)
		return 0;
	pair->first += pair->second;
	return pair->first;
}

/* The attribute is what lets the verifier take it without a check. */
__noinline u64 never_null(struct pair *pair __arg_nonnull)
{
	return pair->first + 3;
}

static __noinline u64 sum(const u32 *values, u32 count)
{
	u64 total = 0;

	for (u32 i = 0; i < 6; i++)
		if (i < count)
			total += values[i];
	return total;
}

__weak int overridable(int x)
{
	return x + 1;
}

static void set(u64 *where, u64 value)
{
	*where = value;
}

__noinline int of_context(struct __sk_buff *skb)
{
	return skb->len * 2;
}

SEC("tc")
int functions(struct __sk_buff *skb)
{
	struct pair pair = { .first = skb->len, .second = 5 };
	u32 values[6] = { 1, 2, 3, skb->len, 5, 6 };
	u64 local;

	out[0] = scalar(skb->len, 1000);
	out[1] = through_pointer(&pair);
	out[2] = sum(values, 4);
	out[3] = overridable(41);
	set(&local, 7);
	out[4] = local + pair.first;
	out[5] = of_context(skb);
	out[6] = never_null(&pair);
	return out[0] & 0x7f;
}

char _license[] SEC("license") = "GPL";
