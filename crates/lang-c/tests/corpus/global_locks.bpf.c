// Locks in variables, lists of objects that programs allocate: the kernel finds them by the types of variables.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define hidden(name) SEC(".data." #name) __attribute__((visibility("hidden"))) __attribute__((aligned(8)))

static hidden(A) struct bpf_spin_lock lock;
u64 packets, bytes;
static u64 largest;

static void account(u64 length)
{
	bpf_spin_lock(&lock);
	packets++;
	bytes += length;
	if (length > largest)
		largest = length;
	bpf_spin_unlock(&lock);
}

SEC("tc")
int counts(struct __sk_buff *skb)
{
	account(skb->len);
	return (int)largest;
}

SEC("tc")
int counts_twice(struct __sk_buff *skb)
{
	account(skb->len);
	account(1);
	return (int)(packets & 0xffff);
}
