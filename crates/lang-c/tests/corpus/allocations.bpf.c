// Memory that is allocated and not freed, by stack: probes in the C library, with what each kept.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct alloc {
	u64 size;
	u64 time;
	int stack;
};

/* Both halves in one word, so that one atomic addition changes both. */
union combined {
	struct {
		u64 bytes : 40;
		u64 count : 24;
	};
	u64 bits;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u32);
	__type(value, u64);
} sizes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct alloc);
} allocs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 10240);
	__type(key, u64);
	__type(value, union combined);
} combined SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(max_entries, 4096);
	__uint(key_size, sizeof(u32));
	__uint(value_size, 64 * sizeof(u64));
} stacks SEC(".maps");

const volatile u64 smallest = 0;
const volatile u64 largest = -1;
const volatile u64 sample_rate = 1;
const volatile bool verbose = false;

static union combined none;

static int begins(u64 size)
{
	u32 thread = bpf_get_current_pid_tgid();

	if (size < smallest || size > largest)
		return 0;
	if (sample_rate > 1 && bpf_ktime_get_ns() % sample_rate != 0)
		return 0;
	bpf_map_update_elem(&sizes, &thread, &size, BPF_ANY);
	if (verbose)
		bpf_printk("asks for %lu bytes", size);
	return 0;
}

static void change(u64 stack, s64 bytes, s64 count)
{
	union combined *sum = bpf_map_lookup_elem(&combined, &stack);
	union combined by = { .bytes = bytes, .count = count };

	if (!sum) {
		bpf_map_update_elem(&combined, &stack, &none, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&combined, &stack);
		if (!sum)
			return;
	}
	if (count > 0)
		__sync_fetch_and_add(&sum->bits, by.bits);
	else
		__sync_fetch_and_sub(&sum->bits, ((u64)-count << 40) | (u64)-bytes);
}

static int ends(void *ctx, u64 address)
{
	u32 thread = bpf_get_current_pid_tgid();
	struct alloc alloc = {};
	u64 *size = bpf_map_lookup_elem(&sizes, &thread);

	if (!size)
		return 0;
	alloc.size = *size;
	bpf_map_delete_elem(&sizes, &thread);
	if (!address)
		return 0;
	alloc.time = bpf_ktime_get_ns();
	alloc.stack = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	bpf_map_update_elem(&allocs, &address, &alloc, BPF_ANY);
	change(alloc.stack, alloc.size, 1);
	return 0;
}

static int freed(u64 address)
{
	struct alloc *alloc = bpf_map_lookup_elem(&allocs, &address);

	if (!alloc)
		return 0;
	change(alloc->stack, -alloc->size, -1);
	bpf_map_delete_elem(&allocs, &address);
	return 0;
}

SEC("uprobe")
int BPF_UPROBE(malloc_enter, size_t size)
{
	return begins(size);
}

SEC("uretprobe")
int BPF_URETPROBE(malloc_exit, void *address)
{
	return ends(ctx, (u64)address);
}

SEC("uprobe")
int BPF_UPROBE(calloc_enter, size_t count, size_t size)
{
	return begins(count * size);
}

SEC("uretprobe")
int BPF_URETPROBE(calloc_exit)
{
	return ends(ctx, PT_REGS_RC(ctx));
}

SEC("uprobe")
int BPF_UPROBE(realloc_enter, void *address, size_t size)
{
	freed((u64)address);
	return begins(size);
}

SEC("uprobe")
int BPF_UPROBE(free_enter, void *address)
{
	return freed((u64)address);
}

char LICENSE[] SEC("license") = "GPL";
