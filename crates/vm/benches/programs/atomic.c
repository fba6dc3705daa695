/* 1000 atomic additions to a counter in a map value. */
#include "bench.h"

static u64 counter;

PROGRAM
{
	u64 value;

	if (data + 8 > end)
		return 0;
	value = *(const u64 *)data;
	counter = 0;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < 1000; at++)
		__sync_fetch_and_add(&counter, value ^ at);
	return fold(counter);
}
