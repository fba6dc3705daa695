/* Twelve products of 6x6 matrices of 64-bit numbers that lie in a map value. */
#include "bench.h"

#define SIDE 6
#define ROUNDS 12

static u64 left[SIDE][SIDE];
static u64 right[SIDE][SIDE];
static u64 product[SIDE][SIDE];

PROGRAM
{
	u64 sum = 0;

	if (data + 2 * sizeof(u32) * SIDE * SIDE > end)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < SIDE * SIDE; at++) {
		left[0][at] = ((const u32 *)data)[2 * at];
		right[0][at] = ((const u32 *)data)[2 * at + 1];
	}
#pragma clang loop unroll(disable)
	for (u32 round = 0; round < ROUNDS; round++) {
#pragma clang loop unroll(disable)
		for (u32 row = 0; row < SIDE; row++) {
#pragma clang loop unroll(disable)
			for (u32 column = 0; column < SIDE; column++) {
				u64 cell = 0;

#pragma clang loop unroll(full)
				for (u32 at = 0; at < SIDE; at++)
					cell += left[row][at] * right[at][column];
				product[row][column] = cell;
			}
		}
#pragma clang loop unroll(disable)
		for (u32 at = 0; at < SIDE * SIDE; at++)
			left[0][at] = product[0][at] ^ round;
	}
#pragma clang loop unroll(disable)
	for (u32 at = 0; at < SIDE * SIDE; at++)
		sum += left[0][at];
	return fold(sum);
}
