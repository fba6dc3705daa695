// A second file that shares types with `shapes.c`: the same ones, a definition of what is only declared there, and a
// structure of the same name that is another one.
#define SEC(n) __attribute__((section(n), used))
struct forward { int known; struct loop *loop; };
typedef struct loop loop_t;
struct loop { loop_t *next; loop_t *(*step)(loop_t *); };
struct holes { char a; long b; char c; int d; short e; };
struct inner { long differs; };
enum color { RED, GREEN = -5, BLUE = 0x7fffffff };
struct nested;
struct mine { struct forward *forward; struct nested *nested; struct holes holes; struct inner inner; enum color color; };
struct mine *mine_pointer;
SEC("socket") int second(void *ctx) { return mine_pointer->holes.d + mine_pointer->forward->known; }
