// Atomic operations, and barriers for the compiler.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 wide = 5;
__u32 narrow = 9;
__u64 out[12];

SEC("tc")
int atomics(struct __sk_buff *skb)
{
	__u64 n = skb->len;

	__sync_fetch_and_add(&wide, n);
	__sync_fetch_and_or(&wide, 0x100);
	__sync_fetch_and_and(&narrow, ~1u);
	__sync_fetch_and_xor(&wide, 3);
	out[0] = __sync_fetch_and_add(&wide, 2);
	out[1] = __sync_fetch_and_sub(&narrow, 1);
	out[2] = __sync_val_compare_and_swap(&wide, 1, 2);
	out[3] = __sync_bool_compare_and_swap(&narrow, narrow, 77);
	out[4] = __sync_lock_test_and_set(&narrow, n);
	out[5] = __atomic_add_fetch(&wide, 10, __ATOMIC_RELAXED);
	out[6] = __atomic_fetch_or(&wide, 1, __ATOMIC_SEQ_CST);
	out[7] = wide;
	out[8] = narrow;
	return 0;
}

SEC("tc")
int barriers(struct __sk_buff *skb)
{
	__u64 a = skb->len, b = 3;

	barrier();
	barrier_var(a);
	asm volatile("" : "+r"(b));
	out[9] = a;
	out[10] = b * a;
	return 0;
}

char _license[] SEC("license") = "GPL";
