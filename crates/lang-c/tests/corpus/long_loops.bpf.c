// Loops that end by the kernel's patience: a list of any length, and a text of any length.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

/* `may_goto`, as bytes: assemblers before LLVM 19 have no word for it. */
#define may_loop ({ \
	__label__ leave, on; \
	bool more = true; \
	asm volatile goto("1: .byte 0xe5; .byte 0; .long ((%l[leave] - 1b - 8) / 8) & 0xffff; .short 0" \
			  : : : : leave); \
	goto on; \
leave:	more = false; \
on:	more; \
})

#define TEXT 64

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, char[TEXT]);
} texts SEC(".maps");

u64 ancestors, hash;
bool reached_init;

SEC("syscall")
int count_ancestors(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();

	ancestors = 0;
	reached_init = false;
	while (task && may_loop) {
		if (task->pid <= 1) {
			reached_init = true;
			break;
		}
		task = task->real_parent;
		ancestors++;
	}
	return reached_init;
}

SEC("syscall")
int hash_text(void *ctx)
{
	u32 zero = 0, i;
	char *text = bpf_map_lookup_elem(&texts, &zero);

	if (!text)
		return -1;
	__builtin_memcpy(text, "a few words\tin one line", 24);
	hash = 14695981039346656037ull;
	for (i = 0; i < TEXT && may_loop; i++)
		hash = (hash ^ text[i]) * 1099511628211ull;
	return i;
}

char LICENSE[] SEC("license") = "GPL";
