// Exceptions: from the program itself, from functions it calls, with a function that they end in and without.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define __exception_cb(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

void bpf_throw(__u64 cookie) __ksym;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} thrown SEC(".maps");

static __noinline __u64 *counter(__u32 key)
{
	return bpf_map_lookup_elem(&thrown, &key);
}

__noinline int ended(__u64 cookie)
{
	__u64 *count = counter(1);

	if (count)
		*count += cookie;
	return cookie * 10;
}

static __noinline int checked(__u32 length)
{
	if (length > 100)
		bpf_throw(length);
	return length + 1;
}

SEC("tc")
__exception_cb(ended)
int handled(struct __sk_buff *skb)
{
	__u64 *count = counter(0);

	if (count)
		*count += 1;
	return checked(skb->len) + 2;
}

SEC("tc")
int unhandled(struct __sk_buff *skb)
{
	if (skb->len > 70)
		bpf_throw(7);
	return checked(skb->len);
}

char _license[] SEC("license") = "GPL";
