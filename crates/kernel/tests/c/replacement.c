// The function that replaces another program's.
#include "../../../object/tests/c/skep.h"

SEC("freplace/answer") int better(int question)
{
    return question + 2;
}
