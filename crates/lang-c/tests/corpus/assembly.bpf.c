// Assembly: among statements with operands, jumps and calls, and as whole functions.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

u64 sum;

// Rounds up to a power of two, with a loop.
static __always_inline u64 round_up(u64 value)
{
	u64 power = 1;

	asm volatile("1: if %[power] >= %[value] goto 2f;\n"
		     "%[power] <<= 1;\n"
		     "if %[power] > 0xffff goto 2f;\n"
		     "goto 1b;\n"
		     "2:"
		     : [power] "+r"(power)
		     : [value] "r"(value));
	return power;
}

static __always_inline int is_large(u64 value)
{
	asm goto("if %0 s> 100 goto %l[large]" : : "r"(value) : : large);
	return 0;
large:
	return 1;
}

SEC("tc")
int computes(struct __sk_buff *skb)
{
	u64 length = skb->len, swapped, low = length, whole = length << 16;

	asm volatile("%[low] &= 0x3f" : [low] "+r"(low));
	/* A cast to a short type leaves the register as it is. */
	asm volatile("" : "+r"(whole));
	asm volatile goto("if %[whole] > %[most] - 1 goto %l[large]"
			  : : [whole] "r"((short)whole), [most] "i"(0x10000) : : large);
	sum += 1;
large:
	asm volatile("%[to] = %[from]\n\t%[to] = be16 %[to]" : [to] "=r"(swapped) : [from] "r"(length));
	sum += low + swapped;
	return (int)(round_up(length) + is_large(length));
}

SEC("tc")
int calls(struct __sk_buff *skb)
{
	u32 key = skb->len & 3;
	u64 *value;

	asm volatile("r1 = %[map] ll\n\t"
		     "r2 = %[key]\n\t"
		     "call %[lookup]\n\t"
		     "%[value] = r0"
		     : [value] "=r"(value)
		     : [map] "i"(&counters), [key] "r"(&key), [lookup] "i"(bpf_map_lookup_elem)
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory");
	if (!value)
		return -1;
	*value += skb->len;
	return (int)*value;
}

static __attribute__((naked, noinline, used)) u64 triple(u64 value)
{
	asm volatile("r0 = r1; r0 += r1; r0 += r1; exit" ::: "r0", "r1");
}

SEC("tc")
__attribute__((naked)) int whole(void)
{
	asm volatile("						\
	r6 = *(u32 *)(r1 + %[len]);				\
	r2 = 0;							\
	*(u32 *)(r10 - 4) = r2;					\
	r2 = r10;						\
	r2 += -4;						\
	r1 = %[counters] ll;					\
	call %[bpf_map_lookup_elem];				\
	if r0 == 0 goto l0_%=;					\
	lock *(u64 *)(r0 + 0) += r6;				\
	r1 = *(u64 *)(r0 + 0);					\
	call triple;						\
	exit;							\
l0_%=:	r0 = -1;						\
	exit;							\
"	:
	: [len] "i"(__builtin_offsetof(struct __sk_buff, len)),
	  [counters] "i"(&counters),
	  [bpf_map_lookup_elem] "i"(bpf_map_lookup_elem)
	: "memory");
}
