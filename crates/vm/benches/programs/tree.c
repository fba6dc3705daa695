/*
 * A thousand decisions in straight-line code of some 4000 instructions: an ensemble of one-level decision trees, each
 * of which compares a word of the packet with a constant of its own and may change the score. Large code, few data.
 */
#include "bench.h"

/* Constants that look random: multiples of 2^32 divided by the golden ratio. */
#define THRESHOLD(n) ((((n) + 1) * 0x9e3779b9u) & 0x7fffffffu)
#define WEIGHT(n) (((n) * 7919 + 13) % 30011)

/* The load is volatile so that no word stays in a register; the empty assembly keeps the branch a branch. */
#define NODE(n)                                                                                                        \
	if (((const volatile u32 *)data)[(n) * 37 % 64] > THRESHOLD(n)) {                                              \
		score = (score + WEIGHT(n)) ^ WEIGHT(n + 500);                                                         \
		__asm__ volatile("" : "+r"(score));                                                                    \
	}
#define FIVE(n) NODE(n) NODE(n + 1) NODE(n + 2) NODE(n + 3) NODE(n + 4)
#define FIFTY(n)                                                                                                       \
	FIVE(n) FIVE(n + 5) FIVE(n + 10) FIVE(n + 15) FIVE(n + 20)                                                     \
	FIVE(n + 25) FIVE(n + 30) FIVE(n + 35) FIVE(n + 40) FIVE(n + 45)
#define HALF(n)                                                                                                        \
	FIFTY(n) FIFTY(n + 50) FIFTY(n + 100) FIFTY(n + 150) FIFTY(n + 200)                                            \
	FIFTY(n + 250) FIFTY(n + 300) FIFTY(n + 350) FIFTY(n + 400) FIFTY(n + 450)

PROGRAM
{
	u32 score = 1;

	if (data + 256 > end)
		return 0;
	HALF(0)
	HALF(500)
	return score;
}
