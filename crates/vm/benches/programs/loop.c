/* 20,000 steps of Vigna's xorshift64* generator: a chain of shifts, exclusive ors and one multiplication. */
#include "bench.h"

PROGRAM
{
	u64 state, sum = 0;

	if (data + 8 > end)
		return 0;
	state = *(const u64 *)data | 1;
#pragma clang loop unroll(disable)
	for (u32 step = 0; step < 20000; step++) {
		state ^= state >> 12;
		state ^= state << 25;
		state ^= state >> 27;
		sum += state * 0x2545f4914f6cdd1dull;
	}
	return fold(sum);
}
