/* Callers that only call frame information leads to: through a function of the C library that calls back, and through a
   signal. Frame pointers are to be left out when this is compiled. */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static volatile int calls;
__attribute__((noinline)) int innermost(int n) { calls++; __asm__ volatile("" ::: "memory"); return n * 2; }
__attribute__((noinline)) int inner(int n) {
    char room[200];
    __asm__ volatile("" :: "r"(room) : "memory", "rbx", "rbp", "r12", "r13");
    int r = innermost(n + 1);
    __asm__ volatile("" ::: "memory");
    return r + 1;
}
static int compare(const void *a, const void *b) {
    int r = *(const int *)a - *(const int *)b + 0 * inner(1);
    __asm__ volatile("" ::: "memory");
    return r;
}
static void handle(int signal) { inner(signal); __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) int sorts(void) {
    int numbers[2] = { calls + 2, calls + 1 };
    qsort(numbers, 2, sizeof *numbers, compare);
    return numbers[0];
}
__attribute__((noinline)) int interrupted(void) { int r = raise(SIGUSR1); __asm__ volatile("" ::: "memory"); return r; }
int main(int argc, char **argv) {
    signal(SIGUSR1, handle);
    int sum = 0, rounds = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 0; i < rounds; i++) sum += sorts() + interrupted();
    // Whoever wants to know what is mapped where has the time to look.
    usleep(300000);
    return sum == 12345;
}
