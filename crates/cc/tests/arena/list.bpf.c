// A list in an arena: nodes by the page, read and changed from user space between runs.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))
#define NULL ((void *)0)
#define NODES_OF_PAGE (4096 / sizeof(struct node))

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 16);
	__ulong(map_extra, 0x1ull << 44);
} memory SEC(".maps");

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 pages, int node, __u64 flags) __ksym __weak;
void bpf_arena_free_pages(void *map, void __arena *addr, __u32 pages) __ksym __weak;

struct place {
	unsigned short row : 10, column : 6;
	char name[6];
};

struct node {
	struct node __arena *next;
	struct node __arena * __arena *previous;
	long value;
	struct place place;
};

// In the arena: at its start, with these bytes.
struct node __arena *__arena head;
static long __arena step = 3;
struct place __arena origin = { .row = 1000, .column = 33, .name = "first" };
int __arena log[5] = { 1, 2, 3, 4, 5 };

// Beside it.
struct node __arena *page;
unsigned int left;
int wanted = 100;
long sum, seen, same, wide, shifted;

static struct node __arena *allocate(void)
{
	if (!left) {
		page = bpf_arena_alloc_pages(&memory, NULL, 1, -1, 0);
		if (!page)
			return NULL;
		left = NODES_OF_PAGE;
	}
	return &page[--left];
}

static void push(struct node __arena *node)
{
	struct node __arena *first = head;

	node->next = first;
	node->previous = &head;
	if (first)
		first->previous = &node->next;
	head = node;
}

SEC("syscall")
int add(void *ctx)
{
	int i;

	bpf_for(i, 0, wanted) {
		struct node __arena *node = allocate();

		if (!node)
			return 1;
		node->value = i * step;
		node->place = origin;
		node->place.row += i;
		push(node);
	}
	return 0;
}

static __noinline long value_of(const struct node __arena *node, int times)
{
	return node->value * times;
}

SEC("syscall")
int total(void *ctx)
{
	struct node __arena *node = head;
	int i;

	sum = seen = wide = 0;
	bpf_repeat(1000) {
		if (!node)
			break;
		sum += value_of(node, 2);
		wide += node->place.row + node->place.column * 10000 + node->place.name[4];
		seen++;
		node = node->next;
	}
	bpf_for(i, 0, 5)
		log[i] += (int)sum;
	return 0;
}

SEC("syscall")
int cut_every_second(void *ctx)
{
	struct node __arena *node = head;

	bpf_repeat(1000) {
		if (!node)
			break;
		*node->previous = node->next;
		if (node->next)
			node->next->previous = node->previous;
		node = node->next ? node->next->next : (struct node __arena *)NULL;
	}
	return 0;
}

// Addresses of both kinds, and back: the program's is another number, user space's is that of the mapping.
SEC("syscall")
int addresses(void *ctx)
{
	struct node __arena *node = head;
	struct node *kernel = (struct node *)node;
	struct node __arena *again = (struct node __arena *)kernel;
	struct node *nothing = NULL;

	if (!node)
		return 1;
	same = again == node;
	same += (unsigned long)again == (unsigned long)node;
	same += (struct node __arena *)nothing == NULL;
	same += kernel->value == node->value;
	same += node + 1 > node && (node + 1) - node == 1;
	asm volatile("%0 = addr_space_cast(%0, 0, 1)" : "+r"(again));
	asm volatile("%0 = addr_space_cast(%0, 1, 0)" : "+r"(again));
	same += again == node;
	// As headers spell it for assemblers that do not know the word.
	asm volatile(".byte 0xBF; .ifc %[reg], r9; .byte 0x99; .endif; .ifc %[reg], r8; .byte 0x88; .endif;"
		     ".ifc %[reg], r7; .byte 0x77; .endif; .short %[off]; .long %[as]"
		     : [reg]"+r"(again) : [off]"i"(1), [as]"i"((0 << 16) | 1));
	asm volatile("%0 = *(u64 *)(%1 + 16)" : "=r"(shifted) : "r"(again) : "memory");
	return 0;
}

char _license[] SEC("license") = "GPL";
