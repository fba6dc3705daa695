// A program with a function that another program replaces.
#include "../../../object/tests/c/skep.h"

__noinline __weak int answer(int question)
{
    return question + 1;
}

SEC("tc") int ask(void *ctx)
{
    return answer(40);
}
