/*
 * What the programs of the benchmark share. Each is one file that is compiled three times:
 *
 *   -DXDP     for the BPF target, with the context of an XDP program: two 32-bit addresses (struct xdp_md)
 *   -DFLAT    for the BPF target, with a context of two 64-bit addresses, for machines without an address space below
 *             4 GiB
 *   -DNATIVE  as a shared object for this machine, with the context of FLAT
 *
 * A program defines its body behind PROGRAM; `data` and `end` delimit its input. It returns 32 bits and gives the same
 * result however often it ran before.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#ifdef XDP
struct context {
	u32 data;
	u32 data_end;
};
#else
struct context {
	u64 data;
	u64 data_end;
};
#endif

#ifdef NATIVE
#define SECTION(name)
#else
#define SECTION(name) __attribute__((section(name), used))
char _license[] SECTION("license") = "GPL";
#endif

#define INLINE static inline __attribute__((always_inline))

#define PROGRAM                                                                                                        \
	INLINE u32 work(const u8 *data, const u8 *end);                                                                \
	SECTION("xdp") u32 program(struct context *context)                                                            \
	{                                                                                                              \
		return work((const u8 *)(unsigned long)context->data, (const u8 *)(unsigned long)context->data_end);   \
	}                                                                                                              \
	INLINE u32 work(const u8 *data, const u8 *end)

INLINE u32 fold(u64 value)
{
	return (u32)value ^ (u32)(value >> 32);
}

/*
 * Maps: libbpf's declarations for the BPF target. Native code has a plain array or an open-addressing table behind the
 * same call, and `fill` to store the first contents.
 */
#ifndef NATIVE

#define MAP(map, kind, entries)                                                                                        \
	struct {                                                                                                       \
		int(*type)[kind];                                                                                      \
		int(*max_entries)[entries];                                                                            \
		u32 *key;                                                                                              \
		u64 *value;                                                                                            \
	} map SECTION(".maps")
#define ARRAY_MAP(map, entries) MAP(map, 2, entries)
#define HASH_MAP(map, entries) MAP(map, 1, entries)

/* Helper 1 of the kernel, bpf_map_lookup_elem. */
static u64 *(*const map_lookup)(void *map, const u32 *key) = (u64 * (*)(void *, const u32 *))1;

#else

#define ARRAY_MAP(map, entries)                                                                                        \
	static u64 map[entries];                                                                                       \
	void fill(const u32 *key, const u64 *value)                                                                    \
	{                                                                                                              \
		map[*key % (entries)] = *value;                                                                        \
	}                                                                                                              \
	INLINE u64 *map_lookup(u64 (*values)[entries], const u32 *key)                                                 \
	{                                                                                                              \
		return *key < (entries) ? &(*values)[*key] : 0;                                                        \
	}

struct entry {
	u32 key;
	u32 used;
	u64 value;
};

/* At most half full; keys are spread by a multiplication with 2^32 divided by the golden ratio. */
#define HASH_MAP(map, entries)                                                                                         \
	static struct entry map[2 * (entries)];                                                                        \
	INLINE struct entry *probe(struct entry *table, u32 key)                                                       \
	{                                                                                                              \
		u32 at = (key * 0x9e3779b9u >> 12) % (2 * (entries));                                                  \
		while (table[at].used && table[at].key != key)                                                         \
			at = (at + 1) % (2 * (entries));                                                               \
		return &table[at];                                                                                     \
	}                                                                                                              \
	void fill(const u32 *key, const u64 *value)                                                                    \
	{                                                                                                              \
		*probe(map, *key) = (struct entry){*key, 1, *value};                                                   \
	}                                                                                                              \
	INLINE u64 *map_lookup(struct entry (*table)[2 * (entries)], const u32 *key)                                   \
	{                                                                                                              \
		struct entry *found = probe(*table, *key);                                                             \
		return found->used ? &found->value : 0;                                                                \
	}

#endif
