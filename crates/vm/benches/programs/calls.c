/* 2000 calls of a small function of the program itself. */
#include "bench.h"

static __attribute__((noinline)) u32 step(u32 value, u32 at)
{
	return (value ^ at) + 0x9e37;
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
