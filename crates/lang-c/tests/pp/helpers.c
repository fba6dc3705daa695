// What programs of the kernel use of the preprocessor, from headers of our own.
#define typeof_is_no_macro typeof
#define ___bpf_concat(a, b) a ## b
#define ___bpf_apply(fn, n) ___bpf_concat(fn, n)
#define ___bpf_nth(_, _1, _2, _3, _4, _5, _6, _7, _8, _9, _a, _b, _c, N, ...) N
#define ___bpf_narg(...) ___bpf_nth(_, ##__VA_ARGS__, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ___arrow1(a) a
#define ___arrow2(a, b) a->b
#define ___arrow3(a, b, c) a->b->c
#define ___arrow(...) ___bpf_apply(___arrow, ___bpf_narg(__VA_ARGS__))(__VA_ARGS__)
#define ___type(...) typeof(___arrow(__VA_ARGS__))
#define ___nolast2(a, _) a
#define ___nolast3(a, b, _) a, b
#define ___nolast(...) ___bpf_apply(___nolast, ___bpf_narg(__VA_ARGS__))(__VA_ARGS__)
#define ___read(read_fn, dst, src_type, src, accessor) \
	read_fn((void *)(dst), sizeof(*(dst)), &((src_type)(src))->accessor)
#define ___rd_first(fn, src, a) ___read(fn, &__t, ___type(src), src, a);
#define ___rd_last(fn, ...) ___read(fn, &__t, ___type(___nolast(__VA_ARGS__)), __t, ___last(__VA_ARGS__));
#define READ(src, a, ...) ({ ___type((src), a, ##__VA_ARGS__) __r; __r; })
READ(task, mm) READ(task, mm, exe_file) READ(READ(task, real_parent), tgid)
___rd_first(bpf_core_read, task, mm)
#define DEFINE_MAP(n, t, k, v, s) struct { int (*type)[t]; typeof(k) *key; typeof(v) *value; } n __attribute__((section(".maps")))
DEFINE_MAP(counts, 1, int, long, 10);
#define FOR_EACH(X) X(a, 1) X(b, 2) X(c, 3)
#define AS_ENUM(name, n) NAME_##name = n,
#define AS_CASE(name, n) case NAME_##name: return #name;
enum names { FOR_EACH(AS_ENUM) };
FOR_EACH(AS_CASE)
#define __PASTE(a, b) a##b
#define PASTE(a, b) __PASTE(a, b)
#define UNIQUE(p) PASTE(PASTE(p, _), __COUNTER__)
int UNIQUE(id), UNIQUE(id);
#define min(a, b) ({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
min(min(1, 2), min(3, 4))
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#if KERNEL_VERSION(5, 10, 0) > KERNEL_VERSION(4, 19, 300)
newer
#endif
#define BUILD_BUG_ON(cond) _Static_assert(!(cond), #cond " is wrong")
BUILD_BUG_ON(sizeof(int) != 4);
