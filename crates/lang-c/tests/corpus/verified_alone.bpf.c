// Functions that the kernel verifies by themselves: contexts, pointers that may be null, memory, and callers of callers.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct digest {
	u32 state[4];
	u32 length;
};

struct pair {
	u16 from, to;
};

u64 calls[6];
struct digest last;
int weak_result;

__noinline int mix(struct digest *digest, u32 word)
{
	if (!digest)
		return -1;
	calls[0]++;
	for (int i = 0; i < 4; i++) {
		digest->state[i] ^= word * (2 * i + 1);
		digest->state[i] = digest->state[i] << 7 | digest->state[i] >> 25;
		word += digest->state[i];
	}
	digest->length += sizeof(word);
	return 0;
}

__noinline int mix_packet(struct __sk_buff *skb, struct digest *digest)
{
	u32 words[4] = {};

	if (!digest)
		return -1;
	calls[1]++;
	if (bpf_skb_load_bytes(skb, 0, words, sizeof(words)))
		return -2;
	for (int i = 0; i < 4; i++)
		mix(digest, bpf_ntohl(words[i]));
	return digest->length;
}

__noinline u32 ports_of(struct __sk_buff *skb __arg_ctx, struct pair *pair)
{
	calls[2]++;
	if (!pair || bpf_skb_load_bytes(skb, 34, pair, sizeof(*pair)))
		return 0;
	return bpf_ntohs(pair->from) << 16 | bpf_ntohs(pair->to);
}

__weak __noinline int policy(struct __sk_buff *skb, u32 ports)
{
	calls[3]++;
	return (ports & 0xffff) == 23 ? 2 : 0;
}

static __noinline u64 fold(const struct digest *digest)
{
	u64 folded = digest->length;

	calls[4]++;
	for (int i = 0; i < 4; i++)
		folded = folded * 0x100000001b3 ^ digest->state[i];
	return folded;
}

__noinline long power(long base, u32 exponent)
{
	long result = 1;

	calls[5]++;
	for (u32 i = 0; i < 32; i++) {
		if (exponent & 1)
			result *= base;
		exponent >>= 1;
		base *= base;
	}
	return result;
}

SEC("tc")
int decide(struct __sk_buff *skb)
{
	struct digest digest = { .state = { 1, 2, 3, 4 } };
	struct pair pair;
	u32 ports = ports_of(skb, &pair);
	int verdict = mix_packet(skb, &digest);

	if (verdict < 0)
		return verdict;
	last = digest;
	weak_result = policy(skb, ports);
	if (weak_result)
		return weak_result;
	return fold(&digest) + power(skb->len, 13);
}

char LICENSE[] SEC("license") = "GPL";
