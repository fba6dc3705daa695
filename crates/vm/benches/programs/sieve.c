/* The primes below 2048 by Eratosthenes, one byte of a map value for each number; returns how many there are. */
#include "bench.h"

#define LIMIT 2048

static u8 composite[LIMIT];

PROGRAM
{
	u32 primes = 0;

	(void)data;
	(void)end;
#pragma clang loop unroll(disable) vectorize(disable)
	for (u32 at = 0; at < LIMIT; at++)
		*(volatile u8 *)&composite[at] = 0;
#pragma clang loop unroll(disable)
	for (u32 factor = 2; factor * factor < LIMIT; factor++) {
		if (composite[factor])
			continue;
#pragma clang loop unroll(disable)
		for (u32 at = factor * factor; at < LIMIT; at += factor)
			composite[at] = 1;
	}
#pragma clang loop unroll(disable) vectorize(disable)
	for (u32 at = 2; at < LIMIT; at++)
		primes += composite[at] == 0;
	return primes;
}
