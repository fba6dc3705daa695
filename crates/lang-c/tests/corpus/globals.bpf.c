// Variables in all their sections.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int limit = 5;
const volatile char name[8] = "skep";
int counter;
long long wide = -7;
static int hidden = 40;
__u8 bytes[5] = { 1, [3] = 4 };
struct point { int x, y; } points[3] = { { 1, 2 }, [2] = { .y = 6, .x = 5 } };
static const __u16 table[] = { 10, 20, 30, 40, 50, 60, 70, 80 };
int named SEC(".data.named") = 9;
static __u64 sums[4];
enum colour { RED = 1, GREEN = 4, BLUE } paint = BLUE;
union { __u32 word; __u8 parts[4]; } mixed = { .parts = { 1, 2, 3, 4 } };

static int next(void)
{
	static int calls = 100;

	return ++calls;
}

SEC("tc")
int globals(struct __sk_buff *skb)
{
	__u32 index = skb->len & 7;

	counter += limit;
	wide *= 3;
	hidden ^= counter;
	bytes[index & 3]++;
	points[index & 1].x += points[2].y;
	sums[index & 3] += table[index];
	named = next();
	if (name[0] == 's' && name[4] == 0)
		paint = GREEN;
	mixed.word += 0x01010101;
	return counter + hidden + table[7] + mixed.parts[3];
}

char _license[] SEC("license") = "GPL";
