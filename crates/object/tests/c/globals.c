// Variables of every section, weak, hidden and static ones, and addresses within them.
#include "skep.h"

const volatile u32 limit = 7;
const volatile u64 table[4] = { 1, 2, 3, 4 };
u32 total = 30;
static volatile u32 calls = 2;
u32 zeros[4];
static volatile u64 last;
u8 byte __hidden;
u64 fallback __weak = 5;
u32 named SEC(".data.named") = 900;
const volatile u32 more SEC(".rodata.more") = 11;

SEC("tc") int variables(void *ctx)
{
    zeros[2] += 4000;
    last = ktime_get_ns();
    calls += table[3];
    byte++;
    fallback++;
    return limit + total + named + zeros[2] + more + calls;
}
