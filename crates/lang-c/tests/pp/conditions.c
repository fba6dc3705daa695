#define A 1
#define B 0
#define EMPTY
#if A
a1
#elif B
a2
#else
a3
#endif
#if B
b1
#elif A
b2
#elif A
b3
#else
b4
#endif
#if 0
#if 1
c1
#else
c2
#endif
#error not here
' unmatched
#garbage
#elif defined A && !defined(NOPE) && defined EMPTY
c3
#endif
#ifdef A
d1
# ifndef B
d2
# else
d3
# endif
#endif
#if (1 ? 2 : 3) == 2 && -1 < 0 && -1 > 0u && ~0u == 0xffffffffffffffff && 'a' == 97 && '\n' == 10
e1
#endif
#if 1 << 3 == 8 && (7 & 3 | 8 ^ 1) == 11 && 10 / 3 * 3 + 10 % 3 == 10 && 0x10 + 010 + 0b11 == 27
e2
#endif
#if 0 && (1 / 0) || 1 ? 1 : 1 / 0
e3
#endif
#if undefined == 0 && !undefined && (-7 / 2 == -3) && (-7 % 2 == -1) && (-8 >> 1 == -4) && -1 >> 63 == -1
e4
#endif
#define HAS defined(A)
#if HAS && !(defined B == 0)
e5
#endif
#define FUN(x) x + 1
#if FUN(1) == 2 && FUN(FUN(1)) == 3
e6
#endif
#ifdef __BPF__
bpf __CHAR_BIT__ __SIZEOF_POINTER__ __UINT64_MAX__ __BYTE_ORDER__
#endif
#ifndef __SIZEOF_FLOAT__
undefined_by_option
#endif
#if __has_builtin(__builtin_memcpy) && !__has_builtin(__builtin_nothing) && __has_attribute(packed) && __has_attribute(__section__)
has
#endif
#if __has_include("include/once.h") && __has_include(<guarded.h>) && !__has_include(<nowhere.h>)
includes
#endif
#undef A
#undef A
#ifdef A
f1
#elif 1
f2
#endif
#if 9223372036854775807 + 0 > 0 && 18446744073709551615u == -1
g1
#endif
#if 1
#	define   SPACED   1  /* with a comment */
SPACED
#
#endif
