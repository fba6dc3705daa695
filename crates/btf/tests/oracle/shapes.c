// Declarations that are awkward to print in C: every kind of type, padding, packing, bit fields, nested declarators.
#define SEC(n) __attribute__((section(n), used))
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef __builtin_va_list __builtin_va_list_alias;

struct forward;
union forward_union;
enum color { RED, GREEN = -5, BLUE = 0x7fffffff };
enum big { BIG = 0xffffffffu };
typedef enum { ANONYMOUS_A, ANONYMOUS_B = 3 } anonymous_enum;
typedef struct { int a; } anonymous_struct;
typedef int vector[4];
typedef vector matrix[2];
typedef int (*callback)(void *, ...);
typedef int (*(*returns_callback)(int))(char, long);
typedef const char *const strings[3];

struct empty {};
struct packed { char a; int b; short c; } __attribute__((packed));
struct packed_tail { u64 a; u8 b; } __attribute__((packed));
struct aligned { char a; int b __attribute__((aligned(16))); char c; } __attribute__((aligned(32)));
struct bits { int a : 3; int : 5; u32 b : 7; u64 c : 40; char d : 1; int : 0; short e : 9; int f; u8 g : 1; };
struct holes { char a; long b; char c; int d; short e; };
struct nested {
	struct { int x; union { long y; char z[8]; }; };
	struct inner { int i; struct nested *up; } in[2];
	enum { NESTED_A, NESTED_B } e;
	union { float f; double d; _Bool b; };
	struct { int only; } named;
};
struct functions {
	int (*simple)(void);
	void (*variadic)(const char *, ...);
	int (*(*nested)(int (*)(void)))(long);
	int (*array[3])(struct functions *);
	int (*(*pointer_to_array)[5])(void);
	volatile int *restrict_like;
	const volatile u32 cv;
	int *const *const pp;
	struct forward *fwd;
	union forward_union *fwd_union;
	callback cb;
	returns_callback rcb;
	char text[2][3][4];
	strings s;
};
struct a { struct b *b; struct c { struct a *a; } c; };
struct b { struct a a; union { struct b *b; struct a *self; }; };
typedef struct loop loop_t;
struct loop { loop_t *next; loop_t *(*step)(loop_t *); };
struct flexible { int len; struct { int x; } data[]; };
struct wide { __int128 value; };
struct tagged { int __attribute__((btf_type_tag("user"))) *p; };

struct everything {
	struct empty empty; struct packed packed; struct packed_tail tail; struct aligned aligned; struct bits bits;
	struct holes holes; struct nested nested; struct functions functions; struct b b; struct loop loop;
	struct flexible *flexible; struct wide wide; struct tagged tagged; enum color color; enum big big;
	anonymous_enum ae; anonymous_struct as; matrix m; double dbl; char c; signed char sc; long double *ld;
};
struct everything *pointer;
static volatile int hidden = 3;
const u64 constant = 5;
extern int external;

__attribute__((noinline)) static int helper(struct everything *e, const char *name) { return e->as.a + name[0]; }

SEC("socket") int entry(void *ctx) { return helper(pointer, "x") + hidden + constant; }
char _license[] SEC("license") = "GPL";
