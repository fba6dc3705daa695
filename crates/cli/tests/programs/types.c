#include <stdlib.h>
#include <stdio.h>
enum colour { RED = 1, GREEN = 5, BLUE = -3 };
struct point { int x; int y; };
struct node { struct node *next; long value; char name[16]; unsigned low : 3; unsigned high : 5; enum colour colour; struct point at; union { int number; char bytes[4]; }; double ratio; };
struct big { long a, b, c; };
typedef unsigned char byte;
__attribute__((noinline)) int work(struct node *node, short number, const char *text, enum colour colour, byte small) {
    __asm__ volatile("" ::: "memory");
    int sum = number + node->value + small;
    sum -= colour + (text[0] != 'h');
    return -sum;
}
__attribute__((noinline)) long many(double ratio, int a, int b, int c, int d, int e, int f, int g, long h, struct big big) {
    __asm__ volatile("" ::: "memory");
    return ratio + a + b + c + d + e + f + g + h + big.b;
}
__attribute__((noinline)) struct big make(int n) { struct big big = {n, n + 1, n + 2}; __asm__ volatile("" ::: "memory"); return big; }
__attribute__((noinline)) int pair(struct point p, int after) { __asm__ volatile("" ::: "memory"); return p.x * p.y + after; }
__attribute__((noinline)) void nothing(void) { __asm__ volatile("" ::: "memory"); }
int main(int argc, char **argv) {
    struct node second = { .value = 2, .name = "second" };
    struct node first = { &second, 40, "first", 5, 17, GREEN, { -1, 7 }, { .number = 99 }, 1.5 };
    /* A text that nobody has read is not in memory. */
    const char *text = "hello";
    if (!*(const volatile char *)text) return 2;
    int rounds = argc > 1 ? atoi(argv[1]) : 1, sum = 0;
    for (int i = 0; i < rounds; i++) {
        sum += work(&first, -9, text, BLUE, 200);
        struct big big = make(i);
        sum += many(2.5, 1, 2, 3, 4, 5, 6, -7, 8, big);
        sum += pair(first.at, 3);
        nothing();
    }
    return sum == 1;
}
