/*
 * 2000 calls of a small function of the program itself. One call is reversible, so that a wrong one cannot be hidden by
 * those after it.
 */
#include "bench.h"

static __attribute__((noinline)) u32 step(u32 value, u32 at)
{
	return (value << 1) + (value ^ at);
}

PROGRAM
{
	u32 value;

	if (data + 4 > end)
		return 0;
	value = *(const u32 *)data;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < 2000; at++)
		value = step(value, at);
	return value;
}
