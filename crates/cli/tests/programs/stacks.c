/* Three functions in a row, then so many milliseconds of sleep, during which the caller may look around. */
#include <stdlib.h>
#include <time.h>
int global = 4711;
__attribute__((noinline)) int inner(int n) { __asm__ volatile("" ::: "memory"); return n * 2; }
__attribute__((noinline)) int middle(int n) { int r = inner(n + 1); __asm__ volatile("" ::: "memory"); return r + 1; }
__attribute__((noinline)) int outer(int n) { int r = middle(n + 1); __asm__ volatile("" ::: "memory"); return r + 1; }
int main(int argc, char **argv) {
    int sum = 0, rounds = atoi(argv[1]);
    long pause = argc > 2 ? atol(argv[2]) : 0;
    for (int i = 0; i < rounds; i++) sum += outer(i);
    struct timespec time = { pause / 1000, pause % 1000 * 1000000 };
    nanosleep(&time, 0);
    return sum == 1;
}
