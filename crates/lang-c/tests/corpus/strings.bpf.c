// Texts: comparisons, searches, formats.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char buffer[64];
char path[16] = "/usr/bin/skep";
long lengths[8];

static __always_inline int length(const char *text, int most)
{
	int n = 0;

	while (n < most && text[n])
		n++;
	return n;
}

static __always_inline int last_slash(const char *text)
{
	int at = -1;

	for (int i = 0; i < 16; i++) {
		if (!text[i])
			break;
		if (text[i] == '/')
			at = i;
	}
	return at;
}

SEC("syscall")
int strings(void *ctx)
{
	static const char word[] = "usr";
	u64 args[] = { 42, (u64)path };

	lengths[0] = length(path, sizeof(path));
	lengths[1] = last_slash(path);
	lengths[2] = bpf_strncmp(path, sizeof(path), "/usr/bin/skep");
	lengths[3] = BPF_SNPRINTF(buffer, sizeof(buffer), "%d-%s-%x", 42, path, 255);
	lengths[4] = path[1] == word[0] && path[2] == word[1];
	lengths[5] = sizeof("a\0b" "cd");
	lengths[6] = bpf_snprintf(buffer + 32, 32, "%d %s", args, sizeof(args));
	return 0;
}

char _license[] SEC("license") = "GPL";
