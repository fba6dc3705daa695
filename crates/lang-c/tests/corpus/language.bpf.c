// Statements and expressions: the result of each test is one entry of a map.
#include <linux/bpf.h>
#include <stddef.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, int);
	__type(value, long long);
} results SEC(".maps");

__noinline int put(int key, long long value)
{
	return bpf_map_update_elem(&results, &key, &value, BPF_ANY);
}

#define PUT(key, value) put(key, value)

struct bits {
	unsigned a : 3;
	signed b : 5;
	unsigned long long c : 40;
	_Bool d : 1;
	unsigned : 0;
	__u16 e : 9;
};

struct nested {
	int kind;
	union {
		struct { __u16 low, high; };
		__u32 both;
	};
	struct { char tag; long value; } inner[2];
};

enum { SMALL = 3, NEXT, LARGE = 1 << 20 };
typedef int (*unused_type)(int);
_Static_assert(sizeof(struct nested) == 40, "layout");
_Static_assert(offsetof(struct nested, inner[1].value) == 32, "offset");

static __always_inline int classify(int n)
{
	switch (n) {
	case 0: return 100;
	case 1:
	case 2: n += 50; /* fall through */
	case 3 ... 9: return n + 200;
	default:
		if (n < 0)
			break;
		return 300;
	}
	return -1;
}

static __noinline long mix(long a, int b, char c, unsigned d)
{
	return a * 31 + b * 7 + c - d;
}

static __always_inline struct nested make(int kind)
{
	struct nested it = { .kind = kind, .both = 0x12345678, .inner = { { 'a', 1 }, { .value = 2 } } };
	return it;
}

SEC("tc")
int integers(struct __sk_buff *skb)
{
	int n = skb->len;
	unsigned u = n;
	long l = -n;
	unsigned char byte = n * 37;
	signed char small = n * 73;
	short s = n * 1021;

	PUT(1, u / 7 + u % 7);
	PUT(2, n / 8u);
	PUT(3, (unsigned long)l % 8);
	PUT(4, u / 3 * 2 - 1u);
	PUT(5, byte + small);
	PUT(6, (unsigned short)s >> 3);
	PUT(7, s >> 3);
	PUT(8, (1ULL << (n & 63)) | (n << 3));
	PUT(9, -1 < u);
	PUT(10, -1L < (long)u);
	PUT(11, ~n & 0xff ^ 3 | 8);
	PUT(12, (int)(u - 1000) >> 31);
	PUT(13, (unsigned)(l) >> 28);
	PUT(14, !n + !!n * 2 + (n && l) * 4 + (n || 0) * 8);
	PUT(15, n > 60 ? n - 60 : 60 - n);
	PUT(16, n ?: 5);
	PUT(17, sizeof(n) + sizeof(long) * 10 + sizeof(struct bits) * 100);
	PUT(18, (n++, n--, n));
	PUT(19, n++ + ++n);
	PUT(20, (char)200 + (bool)n);
	PUT(21, 'a' + '\xff' + L'b');
	PUT(22, 0x7fffffffffffffffLL + (n == 0));
	PUT(23, l * l - (l << 2));
	PUT(24, (s -= 5, s *= 2, s));
	PUT(25, (__s64)(__s32)(n * 0x1234567));
	PUT(26, SMALL + NEXT * LARGE);
	PUT(27, (unsigned char)-n % 10u);
	PUT(28, u % 8 + (l & 7));
	return 0;
}

SEC("tc")
int control(struct __sk_buff *skb)
{
	int sum = 0, i, j;

	for (i = 0; i < 10; i++) {
		if (i == 3)
			continue;
		if (i == 8)
			break;
		sum += i;
	}
	PUT(40, sum);
	i = 0;
	while (i < 5)
		sum += i++ * 2;
	PUT(41, sum);
	do {
		sum -= i;
	} while (--i > 0);
	PUT(42, sum);
	for (i = 0; i < 4; i++)
		for (j = 0; j < i; j++)
			sum += i * j;
	PUT(43, sum);
	PUT(44, classify(skb->len % 12u));
	PUT(45, classify(-5));
	if (skb->len > 100)
		goto large;
	PUT(46, 1);
	goto done;
large:
	PUT(46, 2);
done:
	PUT(47, mix(skb->len, -3, 'x', 9));
	PUT(48, ({ int x = skb->len; x *= 2; x + 1; }));
	return sum;
}

SEC("tc")
int objects(struct __sk_buff *skb)
{
	struct bits bits = { .a = 5, .b = -3, .c = 0xab12345678, .d = 1, .e = 300 };
	struct nested one = make(skb->len), two = one, *pointer = &two;
	int grid[3][4] = { { 1, 2 }, [2] = { [1 ... 3] = 7 } };
	char text[] = "hello", copy[8] = {};
	struct nested literal = (struct nested){ .kind = 9, .high = 1 };
	typeof(one.kind) kind = one.kind;
	__auto_type total = 0LL;

	bits.a += 4;
	bits.b -= 14;
	bits.c <<= 4;
	bits.e = ~bits.e;
	PUT(60, bits.a);
	PUT(61, bits.b);
	PUT(62, bits.c);
	PUT(63, bits.d + bits.e);
	pointer->low += 1;
	pointer->inner[1].value -= 10;
	PUT(64, two.both);
	PUT(65, two.inner[1].value + one.inner[0].tag);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 4; j++)
			total += grid[i][j] * (i + 1);
	PUT(66, total);
	__builtin_memcpy(copy, text, sizeof(text));
	PUT(67, copy[1] * 256 + copy[4]);
	__builtin_memset(copy, 0x5a, 4);
	PUT(69, *(__u64 *)copy);
	PUT(70, literal.both + literal.kind + literal.inner[1].value);
	PUT(71, kind);
	PUT(72, (char *)&two.inner[1] - (char *)&two);
	PUT(73, &grid[2][1] - &grid[0][0]);
	PUT(74, _Generic(total, int: 1, long long: 2, default: 3));
	PUT(75, __builtin_types_compatible_p(typeof(kind), int));
	return 0;
}

SEC("tc")
int builtins(struct __sk_buff *skb)
{
	unsigned n = skb->len * 0x9e3779b9u;
	unsigned long long w = n * 0x9e3779b97f4a7c15ull;
	int r;

	PUT(80, __builtin_bswap16(n) + __builtin_bswap32(n));
	PUT(81, __builtin_bswap64(w));
	PUT(82, __builtin_popcount(n) + __builtin_popcountll(w));
	PUT(85, __builtin_add_overflow((int)n, 0x7000000, &r) + r);
	PUT(84, (unsigned)((struct bits){ .a = n }).a - 9 > 0L);
	PUT(86, __builtin_constant_p(3 + 4) + __builtin_expect(n > 5, 1));
	PUT(87, __builtin_choose_expr(1, n, w));
	return 0;
}

char _license[] SEC("license") = "GPL";
