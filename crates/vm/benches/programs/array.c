/* 1000 look-ups in an array map of 1024 entries. */
#include "bench.h"

ARRAY_MAP(numbers, 1024);

PROGRAM
{
	u64 sum = 0;
	u32 seed;

	if (data + 4 > end)
		return 0;
	seed = *(const u32 *)data;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < 1000; at++) {
		u32 key = (at * 7 + seed) & 1023;
		u64 *value = map_lookup(&numbers, &key);

		if (value)
			sum += *value;
	}
	return fold(sum);
}
