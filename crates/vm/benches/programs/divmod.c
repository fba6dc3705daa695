/* The greatest common divisors of 100 pairs of 32-bit numbers by Euclid, in 64-bit divisions. */
#include "bench.h"

#define PAIRS 100
/* Euclid needs at most 47 steps for numbers below 2^32. */
#define STEPS 48

PROGRAM
{
	u64 sum = 0;

	if (data + PAIRS * 8 > end)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 pair = 0; pair < PAIRS; pair++) {
		u64 a = ((const u32 *)data)[2 * pair], b = ((const u32 *)data)[2 * pair + 1];

#pragma clang loop unroll(disable)
		for (u32 step = 0; step < STEPS; step++) {
			u64 rest;

			if (b == 0)
				break;
			rest = a % b;
			a = b;
			b = rest;
		}
		sum += a * (pair + 1);
	}
	return fold(sum);
}
