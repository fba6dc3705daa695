// Code that macros write: lists of counters, choices by type, tables that their indices describe.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define COUNTERS(X) \
	X(packets, u64, "packets") \
	X(bytes, u64, "bytes") \
	X(broadcast, u32, "to all") \
	X(short_frames, u16, "short") \
	X(largest, s32, "largest")

#define FIELD(name, type, text) type name;
#define TEXT(name, type, text) [INDEX_##name] = { #name, text, sizeof(type), offsetof(struct counters, name) },
#define INDEX(name, type, text) INDEX_##name,

struct counters {
	COUNTERS(FIELD)
};

enum { COUNTERS(INDEX) COUNT };

struct description {
	char name[14];
	char text[10];
	u8 size;
	u8 offset;
};

const struct description descriptions[COUNT] = { COUNTERS(TEXT) };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 32);
	__type(key, u32);
	__type(value, s64);
} results SEC(".maps");

struct counters counters;
u64 name_sum;

#define put(index, what) do { \
	u32 ___key = (index); \
	s64 ___value = (what); \
	bpf_map_update_elem(&results, &___key, &___value, BPF_ANY); \
} while (0)

#define kind_of(x) _Generic((x), \
	char: 1, signed char: 2, unsigned char: 3, \
	short: 4, unsigned short: 5, \
	int: 6, unsigned int: 7, \
	long: 8, unsigned long: 9, long long: 10, unsigned long long: 11, \
	char *: 12, const char *: 13, \
	default: 99)

#define swap(a, b) ({ typeof(a) ___old = (a); (a) = (b); (b) = ___old; (void)0; })
#define min_of(a, b) ({ __auto_type ___a = (a); __auto_type ___b = (b); ___a < ___b ? ___a : ___b; })
#define first(one, ...) one
#define rest(one, ...) __VA_ARGS__
#define quoted(x) #x
#define sum3(a, b, c) ((a) + (b) + (c))
#define call(function, ...) function(__VA_ARGS__)
#define tally(...) (sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))

_Static_assert(sizeof(struct counters) == 32, "all counters");
_Static_assert(COUNT == 5, "all names");

SEC("tc")
int count(struct __sk_buff *skb)
{
	u8 to[6] = {};
	s32 length = skb->len;

	counters.packets++;
	counters.bytes += length;
	if (length < 60)
		counters.short_frames++;
	if (counters.largest < length)
		counters.largest = length;
	if (bpf_skb_load_bytes(skb, 0, to, sizeof(to)) == 0 && (to[0] & to[1] & to[2] & to[3] & to[4] & to[5]) == 0xff)
		counters.broadcast++;
	return counters.short_frames;
}

SEC("tc")
int describe(struct __sk_buff *skb)
{
	const struct description *row;
	int a = skb->len, b = 1000;
	unsigned char byte = a;
	short word = a;
	char text[4] = "abc";

	for (int i = 0; i < COUNT; i++) {
		row = &descriptions[i];
		name_sum = name_sum * 7 + row->name[0] + row->text[1] + row->size * row->offset;
	}
	put(0, kind_of(a) + kind_of(byte) * 100);
	put(1, kind_of(word) + kind_of(1UL) * 100 + kind_of(1LL) * 10000);
	put(2, kind_of((char *)text) + kind_of((const char *)text) * 100 + kind_of(&a) * 10000);
	put(3, kind_of(byte + word) + kind_of(byte + 1U) * 100 + kind_of('a') * 10000);
	swap(a, b);
	put(4, a - b);
	put(5, min_of(a, b) + min_of((u8)a, byte));
	put(6, first(1, 2, 3) + call(sum3, rest(10, 20, 30, 40)));
	put(7, tally(1, 2, 3, 4));
	put(8, sizeof(quoted(a + b)) + sizeof("x" "yz"));
	put(9, ((struct description){ .offset = 3 }).offset + ((int[2]){ [1] = 5 })[b & 1]);
	put(10, __builtin_choose_expr(__builtin_types_compatible_p(typeof(a), int), sizeof(row->name), a));
	put(11, __COUNTER__ + __COUNTER__ * 10);
	put(12, text[a & 1 ? 1 : 2] * (b > 0 ?: -1));
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
