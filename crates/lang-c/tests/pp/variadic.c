#define eprintf(fmt, args...) fprintf(stderr, fmt , ## args)
eprintf("a") eprintf("b", 1) eprintf("c", 1, 2) eprintf("d",)
#define va(x, ...) f(x, ## __VA_ARGS__)
va(1) va(1,) va(1, 2) va(1, 2, (3, 4)) va()
#define only(...) g(0, ## __VA_ARGS__)
only() only(1) only(1, 2)
#define named(args...) #args args
named() named(a) named( a , b )
#define opt(x, ...) x __VA_OPT__(+ __VA_ARGS__ +) end
opt(1) opt(1, 2) opt(1, 2, 3)
#define opt2(f, ...) f(0 __VA_OPT__(,) __VA_ARGS__)
opt2(a) opt2(b, c) opt2(d,) opt2(e, f, g)
#define NIL
opt2(h, NIL) 
#define opt3(x, ...) x ## __VA_OPT__(a b) __VA_OPT__(c) ## x
opt3(1) opt3(m, 2)
#define nth(_, _1, _2, _3, _4, _5, N, ...) N
#define count(...) nth(_, ##__VA_ARGS__, 5, 4, 3, 2, 1, 0)
count() count(a) count(a, b) count(a, b, c) count((a, b), c)
#define concat(a, b) a ## b
#define apply(fn, n) concat(fn, n)
#define cast0() ctx
#define cast1(x) cast0(), (void *)ctx[0]
#define cast2(x, args...) cast1(args), (void *)ctx[1]
#define cast3(x, args...) cast2(args), (void *)ctx[2]
#define cast(args...) apply(cast, count(args))(args)
#define PROG(name, args...) \
name(unsigned long long *ctx); \
static __attribute__((always_inline)) typeof(name(0)) \
____##name(unsigned long long *ctx, ##args); \
typeof(name(0)) name(unsigned long long *ctx) { return ____##name(cast(args)); } \
static typeof(name(0)) ____##name(unsigned long long *ctx, ##args)
int PROG(hello) { return 0; }
int PROG(bye, struct task_struct *a, int b, long c) { return 0; }
#define EVAL(...) EVAL1(EVAL1(EVAL1(__VA_ARGS__)))
#define EVAL1(...) EVAL2(EVAL2(EVAL2(__VA_ARGS__)))
#define EVAL2(...) __VA_ARGS__
#define EMPTY()
#define DEFER(id) id EMPTY()
#define REPEAT(n) n DEFER(REPEAT_)()(n)
#define REPEAT_() REPEAT
EVAL(REPEAT(k))
