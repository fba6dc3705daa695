// Values of every kind in global variables.
#define SEC(n) __attribute__((section(n), used))
typedef unsigned long long u64;
enum color { RED, GREEN = -5, BLUE };
enum wide { WIDE = 0xfedcba9876543210ull };
struct value {
	int a;
	unsigned char b;
	char name[8];
	signed char sc;
	_Bool yes;
	enum color color, none;
	enum wide wide;
	long long negative;
	u64 big;
	int array[3];
	struct { int x, y; } in;
	union { int u; unsigned char c; };
	void *pointer;
	char raw[3], one;
	short matrix[2][2];
	const volatile u64 qualified;
};
struct value value = { -7, 200, "he\"llo", -3, 1, GREEN, 77, WIDE, -1234567890123ll, 0xfedcba9876543210ull, { 1, -2, 3 },
	{ 4, 5 }, { 65 }, 0, { 'a', 'b', 'c' }, '\n', { { 1, 2 }, { 3, 4 } }, 6 };
int second = 9;
struct bits { int low : 3; unsigned more : 5; enum color color : 4; u64 far : 40; _Bool bit : 1; __int128 huge; }
	bits = { -2, 17, BLUE, 0xfffffffff0ull, 1, -5 };

SEC("socket") int load(void *ctx) { return value.a + second + bits.low; }
char _license[] SEC("license") = "GPL";
