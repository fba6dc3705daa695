// A hash table in an arena, whose buckets are variables there and whose entries come from a free list.
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

#define __arena __attribute__((address_space(1)))
#define NULL ((void *)0)
#define BUCKETS 64

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 32);
} memory SEC(".maps");

void __arena *bpf_arena_alloc_pages(void *map, void __arena *addr, __u32 pages, int node, __u64 flags) __ksym __weak;
void bpf_arena_free_pages(void *map, void __arena *addr, __u32 pages) __ksym __weak;

struct entry {
	struct entry __arena *next;
	unsigned int key, count;
	long value;
	char text[24];
};

struct statistics {
	int entries, free, lost;
	long updates;
};

struct entry __arena *__arena buckets[BUCKETS];
static struct entry __arena *__arena unused;
struct statistics __arena statistics = { .free = -1 };

struct request {
	unsigned int key, unused;
	long value;
};

// What the last request gave.
long found, value;

static struct entry __arena *__arena *bucket_of(unsigned int key)
{
	return &buckets[(key * 2654435761u >> 16) % BUCKETS];
}

static struct entry __arena *find(unsigned int key)
{
	struct entry __arena *entry = *bucket_of(key);

	bpf_repeat(500) {
		if (!entry || entry->key == key)
			break;
		entry = entry->next;
	}
	return entry;
}

SEC("syscall")
int prepare(void *ctx)
{
	struct entry __arena *page = bpf_arena_alloc_pages(&memory, NULL, 4, -1, 0);
	int i;

	if (!page)
		return 1;
	statistics.free = 0;
	bpf_for(i, 0, 4 * 4096 / sizeof(struct entry)) {
		page[i].next = unused;
		unused = &page[i];
		statistics.free++;
	}
	return 0;
}

SEC("syscall")
int update(struct request *request)
{
	struct entry __arena *entry = find(request->key);
	static const char text[24] = "an entry of the table";

	if (!entry) {
		struct entry __arena *__arena *bucket = bucket_of(request->key);

		entry = unused;
		if (!entry) {
			statistics.lost++;
			return 1;
		}
		unused = entry->next;
		*entry = (struct entry){ .next = *bucket, .key = request->key };
		for (int i = 0; i < sizeof(text); i++)
			entry->text[i] = text[i];
		*bucket = entry;
		statistics.free--;
		__sync_fetch_and_add(&statistics.entries, 1);
	}
	entry->value = request->value;
	found = __sync_fetch_and_add(&entry->count, 1);
	__sync_fetch_and_add(&statistics.updates, 1);
	return 0;
}

SEC("syscall")
int look_up(struct request *request)
{
	struct entry __arena *entry = find(request->key);

	found = !!entry;
	if (entry)
		value = entry->value;
	return 0;
}

SEC("syscall")
int remove(struct request *request)
{
	struct entry __arena *__arena *link = bucket_of(request->key);

	found = 0;
	bpf_repeat(500) {
		struct entry __arena *entry = *link;

		if (!entry)
			break;
		if (entry->key == request->key) {
			*link = entry->next;
			entry->next = unused;
			unused = entry;
			statistics.free++;
			statistics.entries--;
			found = 1;
			break;
		}
		link = &entry->next;
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
