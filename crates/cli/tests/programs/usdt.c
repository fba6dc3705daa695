#include <stdio.h>
#include <stdlib.h>
#include <string.h>
__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
        ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n");
__attribute__((section(".probes"))) volatile unsigned short guarded_semaphore;
volatile int counter = 77;
/* One place of a probe: `arguments` are as the assembler shall write them. */
#define PLACE(name, semaphore, arguments, ...) \
    __asm__ volatile("990: nop\n" \
        ".pushsection .note.stapsdt,\"\",%%note\n.balign 4\n" \
        ".4byte 992f-991f,994f-993f,3\n991: .asciz \"stapsdt\"\n992: .balign 4\n" \
        "993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte " semaphore "\n" \
        ".asciz \"skep\"\n.asciz \"" name "\"\n.asciz \"" arguments "\"\n994: .balign 4\n.popsection\n" \
        :: __VA_ARGS__)
static volatile signed char table[8] = {0, 10, -20, 30, 40};
/* The same probe with arguments in registers, memory, constants and behind an index. */
__attribute__((noinline)) static void one(int a, const char *text, long index) {
    PLACE("mark", "0", "-4@%0 8@%1 -1@%2", "r"(a), "r"(text), "m"(table[index]));
}
__attribute__((noinline)) static void two(void) {
    PLACE("mark", "0", "-4@$-7 8@%0 -1@%1", "m"(*(const char *volatile *)&(const char *){"memory"}), "q"((signed char)-3));
}
__attribute__((noinline)) static void three(unsigned char value) {
    PLACE("mark", "0", "-4@counter(%%rip) 8@%0 1@%1", "r"("global"), "q"(value));
}
__attribute__((noinline)) static void four(unsigned value) {
    /* The second byte of a register, and a whole register read in parts. */
    __asm__ volatile("mov %0, %%eax\n" :: "r"(value) : "eax");
    PLACE("parts", "0", "1@%%ah 2@%%ax 1@%%al 4@%%eax", "a"(value));
}
__attribute__((noinline)) static void five(int value) {
    if (guarded_semaphore) PLACE("guarded", "guarded_semaphore", "-4@%0", "r"(value));
}
/* Forms that other tools read as well. */
__attribute__((noinline)) static void plain(int a, const char *text, long b) {
    PLACE("plain", "0", "-4@%0 8@%1 8@%2", "r"(a), "r"(text), "r"(b));
    PLACE("plain", "0", "-4@%0 8@%1 -8@$-9", "m"(*(volatile int *)&a), "r"(text));
}
int main(int argc, char **argv) {
    /* Texts that nobody has read are not in memory. */
    char seen = *(const volatile char *)"register" + *(const volatile char *)"memory" + *(const volatile char *)"global";
    int rounds = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 0; i < rounds; i++) {
        plain(-17, seen ? "plain" : "", 1L << 40);
        one(-5, "register", 2);
        two();
        three(200);
        four(0x12345678);
        five(9);
    }
    return 0;
}
