/* Bob Jenkins' lookup3 hash over 1440 bytes: additions, exclusive ors and rotations of three 32-bit words. */
#include "bench.h"

#define BYTES 1440

INLINE u32 rotate(u32 value, u32 bits)
{
	return value << bits | value >> (32 - bits);
}

/* One line of the mixing step: subtract, mix in, advance. */
#define MIX(x, y, z, bits)                                                                                             \
	x -= z;                                                                                                        \
	x ^= rotate(z, bits);                                                                                          \
	z += y
#define FINAL(x, y, bits)                                                                                              \
	x ^= y;                                                                                                        \
	x -= rotate(y, bits)

PROGRAM
{
	u32 a = 0xdeadbeef + BYTES, b = a, c = a;

	if (data + BYTES > end)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < BYTES; at += 12) {
		const u32 *word = (const u32 *)(data + at);

		a += word[0];
		b += word[1];
		c += word[2];
		MIX(a, b, c, 4);
		MIX(b, c, a, 6);
		MIX(c, a, b, 8);
		MIX(a, b, c, 16);
		MIX(b, c, a, 19);
		MIX(c, a, b, 4);
	}
	FINAL(c, b, 14);
	FINAL(a, c, 11);
	FINAL(b, a, 25);
	FINAL(c, b, 16);
	FINAL(a, c, 4);
	FINAL(b, a, 14);
	FINAL(c, b, 24);
	return c;
}
