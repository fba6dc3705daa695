// Settings of the kernel: which may be written, within which range, and who reads them.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define NAME 64

struct range {
	long lowest, highest;
	__u32 writable;
	__u32 refused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, char[NAME]);
	__type(value, struct range);
} ranges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, char[NAME]);
	__type(value, __u64);
} reads SEC(".maps");

static const char prefix[] = "net/ipv4/tcp_";

static __always_inline int starts_with(const char *text, const char *start, int length)
{
	for (int i = 0; i < length; i++)
		if (text[i] != start[i])
			return 0;
	return 1;
}

SEC("cgroup/sysctl")
int guard(struct bpf_sysctl *ctx)
{
	char name[NAME] = {}, text[24] = {};
	struct range *range;
	__u64 one = 1, *count;
	long wanted = 0;
	int length;

	length = bpf_sysctl_get_name(ctx, name, sizeof(name), 0);
	if (length < 0)
		return 0;
	if (!ctx->write) {
		count = bpf_map_lookup_elem(&reads, name);
		if (count)
			__sync_fetch_and_add(count, 1);
		else
			bpf_map_update_elem(&reads, name, &one, BPF_ANY);
		return 1;
	}
	range = bpf_map_lookup_elem(&ranges, name);
	if (!range)
		return !starts_with(name, prefix, sizeof(prefix) - 1);
	if (!range->writable)
		goto refuse;
	length = bpf_sysctl_get_new_value(ctx, text, sizeof(text));
	if (length <= 0 || length >= (int)sizeof(text))
		goto refuse;
	if (bpf_strtol(text, sizeof(text), 0, &wanted) <= 0)
		goto refuse;
	if (wanted > range->highest) {
		bpf_sysctl_set_new_value(ctx, "0", 2);
		return 1;
	}
	if (wanted >= range->lowest)
		return 1;
refuse:
	__sync_fetch_and_add(&range->refused, 1);
	return 0;
}

char _license[] SEC("license") = "GPL";
