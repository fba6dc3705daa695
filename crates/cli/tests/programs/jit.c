/* A function that is made at run time, named in the map for tools, and calls one of this file. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
__attribute__((noinline)) void innermost(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void inner(void) { innermost(); __asm__ volatile("" ::: "memory"); }
int main(void) {
    /* push %rbp; mov %rsp,%rbp; call *%rdi; pop %rbp; ret */
    static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3};
    void *made = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED) return 77;
    memcpy(made, code, sizeof code);
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "w");
    if (!map) return 78;
    fprintf(map, "%lx %lx made at run time\n", (unsigned long)made, (unsigned long)sizeof code);
    fclose(map);
    void (*call)(void (*)(void));
    memcpy(&call, &made, sizeof call);
    for (int i = 0; i < 3; i++) call(inner);
    struct timespec time = {0, 300000000};
    nanosleep(&time, 0);
    unlink(path);
    return 0;
}
